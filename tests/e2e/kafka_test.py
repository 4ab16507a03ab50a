#!/usr/bin/env python3
"""kafka_test.py - while a run listens, kcat lists its topics, reads them from any offset, and feeds a pipeline."""
import json
import os

from mill import done, equal, folder, free_port, have, jsonl, kcat, listening, ok, running, said, skip, until

JOB = """
pipelines:
  lines:
    from: { file: { paths: [ in.log ], start: head } }
    to: { topic: lines }
  orders:
    from: { topic: orders }
    steps:
      - keep: e.amount > 10
      - set: { big: e.amount > 100 }
    to: { file: out/orders.jsonl }
"""


def main():
    if not have('kcat'):
        return skip('kcat beside a run', 'kcat is not installed')
    with folder() as d:
        with open(os.path.join(d, 'job.yaml'), 'w') as f:
            f.write(JOB)
        with open(os.path.join(d, 'in.log'), 'w') as f:
            f.writelines('line %d\n' % i for i in range(1000))
        port = free_port()
        with running(d, 'run', 'job.yaml', '--listen', '127.0.0.1:%d' % port) as p:
            if not ok('a run with --listen listens', listening(port), said(d)):
                return
            def topics():
                code, out, err = kcat(port, '-L', '-J')
                return {t['topic']: len(t['partitions']) for t in json.loads(out)['topics']} if code == 0 else {}
            equal('kcat lists the topics', until(lambda: {'lines', 'orders'} <= set(topics())) and topics().get('lines'), 1)

            def payloads(*where):
                code, out, err = kcat(port, '-C', '-t', 'lines', '-e', '-J', *where)
                return [(r['offset'], json.loads(r['payload'])['message']) for r in map(json.loads, out.splitlines())]
            until(lambda: len(payloads('-o', 'beginning')) == 1000)
            want = [(i, 'line %d' % i) for i in range(1000)]
            for where, first in (('beginning', 0), ('1', 1), ('500', 500), ('999', 999), ('-10', 990)):
                equal('kcat reads from offset %s' % where, payloads('-o', where), want[first:])
            equal('kcat reads nothing at the end', payloads('-o', '1000'), [])
            orders = [{'id': i, 'amount': i} for i in range(300)]
            for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
                part = orders[:60]
                del orders[:60]
                code, out, err = kcat(port, '-P', '-t', 'orders', '-z', codec,
                                      stdin=b''.join(json.dumps(o).encode() + b'\n' for o in part))
                equal('kcat produces with codec %s' % codec, code, 0) or print(err)
            path = os.path.join(d, 'out/orders.jsonl')
            until(lambda: os.path.exists(path) and len(jsonl(path)) >= 289)
            equal('a pipeline processes what kcat produced', jsonl(path),
                  [{'id': i, 'amount': i, 'big': i > 100} for i in range(11, 300)])
            with open(os.path.join(d, 'in.log'), 'a') as f:
                f.write('one more\n')
            equal('a line written now is readable', until(lambda: payloads('-o', '1000')), [(1000, 'one more')])
        equal('Ctrl-C drains and ends with 0', p.code, 0) or print(said(d))


main()
done()
