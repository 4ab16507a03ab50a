#!/usr/bin/env python3
"""loghub_test.py - three real log files, parsed by regex or grok, against the same lines parsed by their publishers."""
import csv
import json
import os

from mill import DATA, ROOT, done, equal, folder, jsonl, ok, run, skip

# file, pipeline, the oracle's columns by our field names
FILES = [
    ('loghub_OpenSSH', 'openssh', {'date': 'Date', 'day': 'Day', 'clock': 'Time', 'component': 'Component', 'pid': 'Pid',
                                   'content': 'Content'}),
    ('loghub_Linux', 'linux', {'month': 'Month', 'date': 'Date', 'clock': 'Time', 'level': 'Level',
                               'component': 'Component', 'pid': 'PID', 'content': 'Content'}),
    ('loghub_Zookeeper', 'zookeeper', {'date': 'Date', 'clock': 'Time', 'level': 'Level', 'node': 'Node',
                                       'component': 'Component', 'id': 'Id', 'content': 'Content'}),
]


def main():
    for name, pipeline, columns in FILES:
        log, oracle = (os.path.join(DATA, name + end) for end in ('.log', '.csv'))
        if not os.path.exists(log):
            skip('%s against its oracle' % name, '../shared/data is not there')
            continue
        with folder() as d:
            code, out, err = run(d, 'run', '--once', 'pipelines/loghub-%s.yaml' % pipeline, env={'LOG': log})
            equal('%s: ends with 0' % name, code, 0) or print(out, err)
            got = [{ours: str(e.get(ours, '')) for ours in columns} for e in jsonl(os.path.join(d, 'out/%s.jsonl' % pipeline))]
        with open(oracle, newline='', encoding='utf-8') as f:
            want = [{ours: row[theirs] for ours, theirs in columns.items()} for row in csv.DictReader(f)]
        ok('%s: the oracle has 2,000 lines' % name, len(want) == 2000, len(want))
        equal('%s: every field of every line equals the oracle' % name, got, want)


main()
done()
