#!/usr/bin/env python3
"""serve_test.py - a node's file, --set and several listeners: what is read, what is refused, what then holds."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import DEADLINE, MILLRACE, done, equal, folder, free_port, listening, ok, run, running, said  # noqa: E402


FILE = """\
data: here
listeners:
  - { name: INSIDE, bind: "127.0.0.1:%(inside)d" }
  - { name: outside, bind: "127.0.0.1:%(outside)d", advertise: "localhost:%(outside)d" }
settings:
  num.partitions: ${PARTITIONS:-4}
  log.retention.hours: 48
  log.cleanup.policy: [compact, delete]
"""


def write(d, text):
    with open(os.path.join(d, 'node.yaml'), 'w', encoding='utf-8') as f:
        f.write(text)


def mistakes():
    rows = (
        ('a key that is not known, with the nearest', 'listners: [a]\n', "node.yaml:1:1: error: unknown key 'listners'", "'listeners'"),
        ('a key of a listener', 'listeners: [ { bind: "a:1", nme: A } ]\n', 'node.yaml:1:29: error', "did you mean 'name'?"),
        ('a listener without an address', 'listeners: [ { name: A } ]\n', 'node.yaml:1:14: error', "needs 'bind'"),
        ('listeners that are no list', 'listeners: {}\n', 'node.yaml:1:12: error', 'is a list'),
        ('a setting that is not known', 'settings:\n  num.partition: 3\n', 'node.yaml:2:3: error', "'num.partitions'"),
        ('a value that is not allowed', 'settings:\n  num.partitions: 0\n', 'node.yaml:2:19: error', 'from 1 to 10000'),
        ('what is no setting here', 'settings:\n  zookeeper.connect: a\n', 'node.yaml:2:3: error', 'needs no ZooKeeper'),
        ('a value that is a map', 'settings:\n  num.partitions: { a: 1 }\n', 'node.yaml:2:19: error', 'a word, a number, or a list'),
        ('what is not YAML', 'data: [\n', 'node.yaml:', 'error'),
        ('a file that is no map', '- a\n', 'node.yaml:1:1: error', 'is a map'),
    )
    with folder() as d:
        for name, text, *says in rows:
            write(d, text)
            code, out, err = run(d, 'serve', '-c', 'node.yaml', '--check')
            ok('%s is refused at its place' % name, code == 2 and not out and all(s in err for s in says), (code, out, err))
        for name, args, says in (
                ('a setting without a value', ['--set', 'num.partitions'], 'NAME=VALUE'),
                ('an unknown setting', ['--set', 'num.partition=1'], "did you mean 'num.partitions'?"),
                ('a value out of bounds', ['--set', 'num.partitions=x'], 'from 1 to 10000'),
                ('a file that is not there', ['-c', 'absent.yaml'], 'No such file'),
                ('two listeners of one name', ['--listen', 'A://127.0.0.1:0,A://127.0.0.1:0'], "two listeners with the name 'A'"),
                ('TLS by the name of a listener', ['--listen', 'SSL://127.0.0.1:0'], 'TLS and SASL are not served'),
                ('settings that disagree', ['--set', 'group.min.session.timeout.ms=9', '--set', 'group.max.session.timeout.ms=8'],
                 "'group.max.session.timeout.ms'")):
            code, out, err = run(d, 'serve', *args)
            ok('%s is refused' % name, code in (1, 2) and not out and says in err, (code, out, err))


def tells(port, *keys):
    """{name: (value, source)} of the node's settings, by the command line's own client."""
    p = subprocess.run([MILLRACE, 'configs', 'describe', 'broker', '1', '--json', '--broker', '127.0.0.1:%d' % port],
                       capture_output=True, timeout=DEADLINE, text=True)
    if p.returncode:
        ok('configs describe succeeds', False, p.stderr)
        return {}
    rows = [json.loads(line) for line in p.stdout.splitlines()]
    return {r['name']: r['value'] for r in rows if r['name'] in keys}


def serves():
    inside, outside = free_port(), free_port()
    with folder() as d:
        write(d, FILE % {'inside': inside, 'outside': outside})
        with running(d, 'serve', '-c', 'node.yaml', '--set', 'log.retention.hours=24') as p:
            if not ok('a node starts from its file', listening(inside) and listening(outside), said(d)):
                return
            want = {
                'num.partitions': '4', 'log.retention.hours': '24', 'log.retention.ms': '86400000',
                'log.cleanup.policy': 'compact,delete', 'log.dirs': 'here',
                'listeners': 'INSIDE://127.0.0.1:%d,OUTSIDE://127.0.0.1:%d' % (inside, outside),
                'advertised.listeners': 'INSIDE://127.0.0.1:%d,OUTSIDE://localhost:%d' % (inside, outside),
            }
            equal('what was given holds, and options go before the file', tells(inside, *want), want)
            ok('the data directory is the one that the file names', os.path.isdir(os.path.join(d, 'here', 'topics')))
        equal('it closes well', p.code, 0)
        with running(d, 'serve', '-c', 'node.yaml', '--data', 'there', '--listen', '127.0.0.1:%d' % inside,
                     env={'PARTITIONS': '7'}):
            if not ok('options stand for what the file says', listening(inside), said(d)):
                return
            equal('the environment is in the file', tells(inside, 'num.partitions', 'advertised.listeners', 'log.dirs'),
                  {'num.partitions': '7', 'advertised.listeners': 'PLAINTEXT://127.0.0.1:%d' % inside, 'log.dirs': 'there'})


def lists():
    with folder() as d:
        code, out, err = run(d, 'serve', '--settings')
        names = re.findall(r'^\| `([a-z.]+)` \|', out, re.M)
        ok('--settings lists those of the node and of topics, and makes nothing',
           code == 0 and not err and {'num.partitions', 'log.retention.ms', 'retention.ms'} <= set(names)
           and len(names) > 70 and not os.path.exists(os.path.join(d, '.millrace')), (code, len(names), err))


if __name__ == '__main__':
    mistakes()
    lists()
    serves()
    done()
