#!/usr/bin/env python3
"""kill_test.py - kill -9 at random moments while the input grows and is rotated: no line is missing.

A writer appends numbered lines, ten milliseconds of event time apart, and renames the file away now and then. millrace
is killed and started again 50 times (MR_KILLS), then runs to the end. MR_SEED repeats the moments.
"""
import json
import os
import random
import signal
import sys
import time

from writer import Writer
from mill import BUILD, catches, done, equal, folder, have, jsonl, ok, run, running, said, skip, topic_records, until

JOB = """
pipelines:
  lines:
    from: { file: { paths: [ "in/x.log*" ], start: head } }
    steps:
      - parse: json
      - lua: m.ts = e.t * 1000000
    to: { topic: { name: lines, key: "{{ n }}" } }
  per-second:
    from: { topic: lines }
    steps:
      - window: { id: w, every: 1s, by: [], compute: { hits: count(), least: min(n), most: max(n) } }
    to: { file: out/per-second.jsonl }
"""
def scenario(name, seed, rounds, how):
    r = random.Random(seed)
    with folder() as d:
        os.mkdir(os.path.join(d, 'in'))
        with open(os.path.join(d, 'job.yaml'), 'w') as f:
            f.write(JOB)
        w = Writer(os.path.join(d, 'in'), seed)
        w.start()
        codes = set()
        for i in range(rounds):
            with running(d, 'run', 'job.yaml', stop=how) as p:
                if how == signal.SIGINT:  # before main there is nobody who could drain
                    until(lambda: catches(p.pid, signal.SIGINT))
                time.sleep(r.random() * 0.5)  # the moment is the test's input
                early = p.poll()
            if early is not None:
                ok('%s: millrace runs until it is ended' % name, False, 'round %d: exit %d\n%s' % (i, early, said(d)))
                break
            codes.add(p.code)
        w.stopped = True
        w.join()
        if how == signal.SIGINT:
            equal('%s: Ctrl-C drains and ends with 0' % name, codes, {0})
        code, out, err = run(d, 'run', '--once', 'job.yaml')
        equal('%s: a last run to the end ends with 0' % name, code, 0) or print(err[-3000:])
        records = [json.loads(x['payload'])['n'] for x in topic_records(d, 'lines')]
        missing = sorted(set(range(w.n)) - set(records))
        ok('%s: no line is missing from the topic (%d lines, %d rounds)' % (name, w.n, rounds), not missing,
           '%d missing, first %s; seed %d' % (len(missing), missing[:5], seed))
        ok('%s: nothing was invented' % name, set(records) <= set(range(w.n)))
        stored = {}
        for n in records:
            stored[n // 100] = stored.get(n // 100, 0) + 1
        results = {}
        for x in jsonl(os.path.join(d, 'out/per-second.jsonl')):
            results.setdefault(x['least'] // 100, []).append(x['hits'])
        bad = []
        for second in range((w.n + 99) // 100):
            lines = min(100, w.n - second * 100)
            hits = results.get(second, [])
            if not hits or min(hits) < lines or max(hits) > stored.get(second, 0):
                bad.append((second, lines, stored.get(second), hits))
        ok('%s: every window counts every line' % name, not bad,
           '%d of %d windows differ, first (second, lines, stored, hits): %s; seed %d' % (len(bad), len(stored), bad[:4], seed))
        twice = len(records) - len(set(records))
        again = sum(len(h) - 1 for h in results.values())
        print('# %s: %d lines, %d records twice, %d windows twice' % (name, w.n, twice, again))
        if how == signal.SIGINT:
            equal('%s: no duplicate across a clean stop' % name, (twice, again), (0, 0))


def main():
    if not have('kcat'):
        return skip('kill -9 and restart', 'kcat is not installed')
    seed = int(os.environ.get('MR_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 30)
    print('# MR_SEED=%d' % seed)
    kills = int(os.environ.get('MR_KILLS', '0')) or (15 if 'san' in os.path.basename(BUILD) else 50)
    scenario('kill -9', seed, kills, signal.SIGKILL)
    scenario('clean stop', seed + 1, max(5, kills // 5), signal.SIGINT)


main()
done()
