#!/usr/bin/env python3
"""access_test.py - the first job over 10,000 real lines: windows and topic against an independent computation."""
import datetime
import json
import os
import re

from mill import DATA, MILLRACE, done, equal, folder, have, jsonl, ok, run, skip, topic_records

LINE = re.compile(r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"(.*)$')


def mask(ip):
    return ip.rsplit('.', 1)[0] + '.0' if re.match(r'^\d+\.\d+\.\d+\.\d+$', ip) else ip


def expected(path):
    """What access-clean must put into the topic: (event, time in ms), in order."""
    for line in open(path, encoding='utf-8', errors='surrogateescape', newline='\n'):
        m = LINE.match(line.rstrip('\n'))
        if not m:
            yield None, line
            continue
        client, ident, user, when, request, status, size, referer, agent, rest = m.groups()
        e = {'client': client, 'ident': ident, 'user': user, 'time': when}
        parts = request.split(' ')
        if len(parts) == 3 and parts[2].startswith('HTTP/'):
            e.update(method=parts[0], path=parts[1], protocol=parts[2])
        else:
            e['request'] = request
        e['status'] = int(status)
        if size != '-':
            e['bytes'] = int(size)
        e.update(referer=referer, agent=agent)
        if 'path' in e and (e['path'].startswith('/healthz') or e['status'] == 304):
            continue
        e['client'] = mask(client)
        ms = int(datetime.datetime.strptime(when, '%d/%b/%Y:%H:%M:%S %z').timestamp() * 1000)
        yield e, ms


def main():
    log = os.path.join(DATA, 'apache_access.log')
    if not os.path.exists(log):
        return skip('the first job over real lines', '../shared/data is not there')
    both = list(expected(log))
    want, strange = [(e, ms) for e, ms in both if e], [line.rstrip('\n') for e, line in both if not e]
    equal('one real line is cut off in its last field', [line[:14] for line in strange], ['46.118.127.106'])
    counts = {}
    for e, ms in want:
        key = (ms // 60000 * 60000, e['status'])
        hits, size = counts.get(key, (0, 0))
        counts[key] = (hits + 1, size + e.get('bytes', 0))
    with folder() as d:
        env = {'ACCESS_LOG': log}
        code, out, err = run(d, 'run', '--once', 'pipelines/access.yaml', env=env)
        equal('a run with --once ends by itself with 0', code, 0) or print(out, err)
        got = {}
        rows = jsonl(os.path.join(d, 'out/per-minute.jsonl'))
        for r in rows:
            start = datetime.datetime.fromisoformat(r['window']['start'].replace('Z', '+00:00'))
            got[(int(start.timestamp() * 1000), r['status'])] = (r['hits'], r['bytes'])
        equal('counts and byte sums by minute equal an independent computation', got, counts)
        equal('each window comes once', len(rows), len(counts))
        code, out, err = run(d, 'run', '--once', 'pipelines/access.yaml', env=env)
        equal('a second run ends with 0 too', code, 0)
        equal('a second run adds nothing', len(jsonl(os.path.join(d, 'out/per-minute.jsonl'))), len(counts))
        if not have('kcat'):
            return skip('records of the topic by kcat', 'kcat is not installed')
        records = topic_records(d, 'access')
        equal('the records of the topic are the expected events, one by one',
              [(json.loads(r['payload']), r['ts']) for r in records], [(e, ms) for e, ms in want])
        equal('each record has its client as key', [r['key'] for r in records], [e['client'] for e, _ in want])
        equal('offsets count from 0 without a gap', [r['offset'] for r in records], list(range(len(want))))
        equal('the line that is cut off is in the dead-letter topic as it came',
              [r['payload'] for r in topic_records(d, 'access-clean.dead')], strange)
        minutes = topic_records(d, 'access-per-minute')
        equal('the windows are in their topic too', len(minutes), len(counts))
        try:
            import kafka
        except ImportError:
            return skip('records of the topic by python3-kafka', 'python3-kafka is not installed')
        python_kafka(d, kafka, want)


def python_kafka(d, kafka, want):
    from mill import free_port, listening, running
    port = free_port()
    with running(d, 'serve', '--data', '.millrace', '--listen', '127.0.0.1:%d' % port):
        listening(port)
        c = kafka.KafkaConsumer(bootstrap_servers='127.0.0.1:%d' % port, auto_offset_reset='earliest', group_id=None,
                                consumer_timeout_ms=20000, api_version_auto_timeout_ms=10000)
        tp = kafka.TopicPartition('access', 0)
        c.assign([tp])
        c.seek_to_beginning(tp)
        got = []
        for r in c:
            got.append(json.loads(r.value))
            if len(got) == len(want):
                break
        c.close()
    equal('python3-kafka reads the same events', got, [e for e, _ in want])


main()
done()
