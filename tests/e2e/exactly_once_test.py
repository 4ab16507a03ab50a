#!/usr/bin/env python3
"""exactly_once_test.py - kill -9 at random moments: in topics, nothing is missing and nothing is there twice.

A writer appends numbered lines and renames the file away now and then. One pipeline takes them from the files to a
topic, one filters that topic, one counts it by windows, one spreads it over partitions that two others share as members
of a group, all with `delivery: exactly_once`. millrace is killed and started again (MR_KILLS, MR_SEED repeats the moments), then runs to the end. Readers are kcat's,
which see what is committed.
"""
import json
import os
import random
import signal
import time

from mill import (BUILD, done, equal, folder, free_port, have, kcat, listening, ok, run, running, said, skip,
                  topic_records, until)
from writer import Writer

JOB = """
pipelines:
  lines:
    from: { file: { paths: [ "in/x.log*" ], start: head } }
    steps:
      - parse: json
      - lua: m.ts = e.t * 1000000
    to: { topic: { name: lines, key: "{{ n }}" } }
    delivery: exactly_once
  even:
    from: { topic: lines }
    steps:
      - keep: e.n % 2 == 0
    to:
      - topic: tens
        if: e.n % 10 == 0
      - topic: rest
        else: true
    delivery: exactly_once
    commit_every: 20ms
  per-second:
    from: { topic: lines }
    steps:
      - window: { id: w, every: 1s, by: [], compute: { hits: count(), least: min(n), most: max(n) } }
    to: { topic: per-second }
    delivery: exactly_once
    commit_every: 50ms
  spread:
    from: { topic: { name: lines, group: spread } }
    to: { topic: { name: spread, key: "{{ n }}" } }
    delivery: exactly_once
    commit_every: 30ms
  left:
    from: { topic: { name: spread, group: halves } }
    to: { topic: halves }
    delivery: exactly_once
    commit_every: 40ms
  right:
    from: { topic: { name: spread, group: halves } }
    to: { topic: halves }
    delivery: exactly_once
    commit_every: 50ms
"""
PARTITIONS = 4


def make_topic(d, name, partitions):
    port = free_port()
    with running(d, 'serve', '--data', '.millrace', '--listen', '127.0.0.1:%d' % port, '--set',
                 'num.partitions=%d' % partitions):
        if not listening(port):
            raise RuntimeError('serve did not listen: ' + said(d))
        until(lambda: '%d partitions' % partitions in kcat(port, '-L', '-t', name)[1].decode(), 30)


def group_lag(d, group):
    """Partition -> lag, as `millrace group describe` tells."""
    port = free_port()
    with running(d, 'serve', '--data', '.millrace', '--listen', '127.0.0.1:%d' % port):
        if not listening(port):
            raise RuntimeError('serve did not listen: ' + said(d))
        code, out, err = run(d, 'group', 'describe', group, '--json', '--broker', '127.0.0.1:%d' % port)
        if code:
            raise RuntimeError('group describe: ' + err)
    return {p['partition']: p['lag'] for p in json.loads(out)['partitions']}


def numbers(d, topic):
    return sorted(json.loads(x['payload'])['n'] for x in topic_records(d, topic))


def scenario(name, seed, rounds, how):
    r = random.Random(seed)
    with folder() as d:
        os.mkdir(os.path.join(d, 'in'))
        with open(os.path.join(d, 'job.yaml'), 'w') as f:
            f.write(JOB)
        make_topic(d, 'spread', PARTITIONS)
        w = Writer(os.path.join(d, 'in'), seed)
        w.start()
        for i in range(rounds):
            with running(d, 'run', 'job.yaml', stop=how) as p:
                time.sleep(r.random() * 0.6)  # the moment is the test's input
                early = p.poll()
            if early is not None:
                ok('%s: millrace runs until it is ended' % name, False, 'round %d: exit %d\n%s' % (i, early, said(d)))
                break
        w.stopped = True
        w.join()
        code, out, err = run(d, 'run', '--once', 'job.yaml')
        equal('%s: a last run to the end ends with 0' % name, code, 0) or print(err[-3000:])
        print('# %s: %d lines, %d rounds; seed %d' % (name, w.n, rounds, seed))
        equal('%s: every line is in the topic once' % name, numbers(d, 'lines'), list(range(w.n)))
        equal('%s: every tenth line is in one output once' % name, numbers(d, 'tens'), list(range(0, w.n, 10)))
        equal('%s: the other even ones are in the other once' % name, numbers(d, 'rest'),
              [n for n in range(0, w.n, 2) if n % 10])
        equal('%s: what two members of a group share is there once' % name, numbers(d, 'halves'), list(range(w.n)))
        if 'tsan' in os.path.basename(BUILD):
            skip('%s: and the group stands at the end' % name, 'the command line\'s client has threads that are unknown '
                 'to the thread sanitizer')
        else:
            equal('%s: and the group stands at the end of each partition' % name, group_lag(d, 'halves'),
                  {p: 0 for p in range(PARTITIONS)})
        got = sorted((x['least'], x['most'], x['hits']) for x in
                     (json.loads(x['payload']) for x in topic_records(d, 'per-second')))
        want = [(n, min(n + 99, w.n - 1), min(100, w.n - n)) for n in range(0, w.n, 100)]
        equal('%s: every window is there once and counts every line once' % name, got, want)


def main():
    if not have('kcat'):
        return skip('exactly once, kill -9 and restart', 'kcat is not installed')
    seed = int(os.environ.get('MR_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 30)
    print('# MR_SEED=%d' % seed)
    kills = int(os.environ.get('MR_KILLS', '0')) or (10 if 'san' in os.path.basename(BUILD) else 30)
    scenario('kill -9', seed, kills, signal.SIGKILL)
    scenario('clean stop', seed + 1, max(5, kills // 5), signal.SIGINT)


main()
done()
