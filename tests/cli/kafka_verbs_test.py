#!/usr/bin/env python3
"""kafka_verbs_test.py - topic, produce, consume, group, configs, txn against `millrace serve` on loopback."""
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import DEADLINE, MILLRACE, catches, done, equal, folder, free_port, listening, ok, run, running, said, skip, until  # noqa: E402

SUBS = {'topic': ('list', 'create', 'describe', 'alter', 'delete', 'add-partitions'),
        'group': ('list', 'describe', 'reset', 'delete'), 'configs': ('describe', 'alter'),
        'txn': ('list', 'describe', 'producers', 'hanging', 'abort'), 'produce': (), 'consume': ()}


class Site:
    """A folder, and where its broker is."""
    def __init__(self, d, where, ours=True):
        self.d, self.where, self.ours = d, where, ours

    def cmd(self, *args):
        return [*args, '--broker', self.where]

    def run(self, *args, stdin=None):
        p = subprocess.run([MILLRACE, *self.cmd(*args)], cwd=self.d, capture_output=True, timeout=DEADLINE,
                           input=stdin.encode() if isinstance(stdin, str) else stdin or b'')
        return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')

    def must(self, *args, stdin=None):
        """Standard output of what has to succeed."""
        code, out, err = self.run(*args, stdin=stdin)
        if code:
            ok('millrace %s succeeds' % ' '.join(args), False, (code, out, err))
        return out

    def objects(self, *args):
        return [json.loads(line) for line in self.must(*args, '--json').splitlines()]

    def read(self, topic, *args):
        return self.objects('consume', topic, '--until-end', *args)


def helps():
    with folder() as d:
        for verb, subs in SUBS.items():
            for words in [(verb,)] + [(verb, s) for s in subs]:
                code, out, err = run(d, *words, '--help')
                ok('%s --help teaches on standard output' % ' '.join(words),
                   code == 0 and out.startswith('usage: millrace ' + ' '.join(words)) and not err, (code, out, err))


def mistakes():
    rows = (
        ('a verb of verbs alone shows them and is a mistake', ['topic'], 'topic create'),
        ('an unknown verb of topic names the nearest', ['topic', 'creat', 'x'], "did you mean 'create'?"),
        ('an unknown option names the nearest', ['topic', 'create', 'x', '--partition', '3'], "did you mean '--partitions'?"),
        ('a word too many is named', ['consume', 'x', 'y'], "'y' is too much"),
        ('abort needs to know what', ['txn', 'abort'], 'no transactional id given'),
        ('abort takes one of two', ['txn', 'abort', 'x', '--partition', 't:0', '--from', '1'], 'one of the two'),
        ('an unknown state names the nearest', ['txn', 'list', '--state', 'Ongoin'], "did you mean 'Ongoing'?"),
        ('a topic that is not given is told', ['topic', 'describe'], 'no topic given'),
        ('a partition count is a number', ['topic', 'create', 'x', '--partitions', 'many'], "'many' is not a number"),
        ('an unknown codec names the nearest', ['produce', 'x', '--compression', 'zst'], "did you mean 'zstd'?"),
        ('transactions need all acks', ['produce', 'x', '--transactional-id', 't', '--acks', '1'], '--acks all'),
        ('an unknown place names the nearest', ['consume', 'x', '--from', 'begining'], "did you mean 'beginning'?"),
        ('an unknown place says what may stand there', ['consume', 'x', '--from', 'yesterday'], 'an offset (1200)'),
        ('a shift is for reset alone', ['consume', 'x', '--from', 'shift:3'], 'unknown place'),
        ('an unknown letter of --format says which there are', ['consume', 'x', '--format', '%q'], '%k key'),
        ('an unknown escape of --format says which there are', ['consume', 'x', '--format', 'a\\q'], '\\n \\t'),
        ('--json and --format exclude each other', ['consume', 'x', '--json', '--format', '%v'], 'choose one'),
        ('a group does not take a partition', ['consume', 'x', '--group', 'g', '--partition', '1'], '--partition'),
        ('an unknown way to decode names the nearest', ['consume', 'x', '--decode', 'key=hxe'], "did you mean 'hex'?"),
        ('a group ends at the end', ['consume', 'x', '--group', 'g', '--until', '7'], '--until end'),
        ('a group does not start at an offset, and how it is moved', ['consume', 'x', '--group', 'g', '--from', '7'],
         'millrace group reset g --topic x --to 7'),
        ('reset needs a topic', ['group', 'reset', 'g', '--to', 'end'], '--topic is missing'),
        ('reset needs a place', ['group', 'reset', 'g', '--topic', 't'], '--to is missing'),
        ('dry and execute exclude each other',
         ['group', 'reset', 'g', '--topic', 't', '--to', 'end', '--dry-run', '--execute'], 'exclude'),
        ('configs wants a kind', ['configs', 'describe', 'tpoic', 'x'], "did you mean 'topic'?"),
        ('an alteration of nothing is told', ['configs', 'alter', 'topic', 'x'], 'nothing to change'),
        ('a setting to alter needs its =', ['topic', 'alter', 'x'], 'nothing to change'),
        ('ways to say where exclude each other', ['group', 'reset', 'g', '--topic', 't', '--to', 'end', '--shift', '3'], 'exclude'),
        ('a time of reset is a time', ['group', 'reset', 'g', '--topic', 't', '--to-time', '12'], 'no time'),
        ('an offset of reset is a number', ['group', 'reset', 'g', '--topic', 't', '--to-offset', 'x'], "'x' is not a number"),
        ('a shift of reset is a number', ['group', 'reset', 'g', '--topic', 't', '--shift', 'x'], 'no shift'),
        ('a plan says the topics itself', ['group', 'reset', 'g', '--topic', 't', '--plan', 'f'], 'do not go with it'),
        ('a state of groups names the nearest', ['group', 'list', '--state', 'Emty'], "did you mean 'Empty'?"),
        ('a file of settings that is not there is told', ['topic', 'list', '-X', '@absent'], "'absent'"),
        ('-X is --set', ['topic', 'list', '-X', 'client.id'], 'NAME=VALUE'),
        ('a setting needs its =', ['topic', 'list', '--set', 'client.id'], 'NAME=VALUE'),
        ('an unknown setting of the client is told', ['topic', 'list', '--set', 'no.such=1'], 'no.such'),
        ('a wrong timeout is told', ['topic', 'list', '--timeout', '5'], '--timeout'),
    )
    with folder() as d:
        for name, args, text in rows:
            code, out, err = run(d, *args)
            ok(name, code == 2 and text in err and not out, (code, out, err))
        start = time.monotonic()
        code, out, err = run(d, 'topic', 'list', '--broker', '127.0.0.1:%d' % free_port())
        ok('where no broker is, that is told with a way out', code == 1 and 'no broker answers' in err
           and 'millrace serve' in err, (code, err))
        ok('and soon', time.monotonic() - start < 8, time.monotonic() - start)
        with contextlib.closing(socket.socket()) as deaf:
            deaf.bind(('127.0.0.1', 0))
            deaf.listen()
            p = subprocess.Popen([MILLRACE, 'txn', 'list', '--broker', '127.0.0.1:%d' % deaf.getsockname()[1]], stderr=subprocess.PIPE)
            until(lambda: catches(p.pid, signal.SIGINT), 20)
            p.send_signal(signal.SIGINT)
            code, out, err = run(d, 'topic', 'list', '--broker', '127.0.0.1:%d' % deaf.getsockname()[1], '--timeout', '300ms')
            ok('one that says nothing is given --timeout', code == 1 and 'within 300ms' in err, (code, err))
            ok('Ctrl-C ends the wait for one that does not answer', p.wait(DEADLINE) == 1 and b'interrupted' in p.stderr.read())
            p.stderr.close()
        linked = subprocess.run(['ldd', MILLRACE], capture_output=True, text=True).stdout
        ok('the main program does not load librdkafka', 'libc.so' in linked and 'rdkafka' not in linked, linked)


def topics(s):
    s.must('topic', 'create', 'orders', '--partitions', '3', '--config', 'retention.ms=86400000')
    s.must('topic', 'create', 'plain')
    equal('topics are listed by name', [(t['topic'], t['partitions']) for t in s.objects('topic', 'list')
                                        if not t['topic'].startswith('__')], [('orders', 3), ('plain', 1)])
    ok('the table has a head and a line for each', s.must('topic', 'list').split()[:6] ==
       ['TOPIC', 'PARTITIONS', 'REPLICAS', 'orders', '3', '1'], s.must('topic', 'list'))
    with open('/dev/full', 'w') as full:
        for words in (['topic', 'list'], ['topic', 'list', '--json'], ['topic', 'create', 'orders', '--if-missing']):
            p = subprocess.run([MILLRACE, *s.cmd(*words)], cwd=s.d, stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE)
            ok('%s into a full disk fails and says why' % ' '.join(words), p.returncode == 1 and b'cannot write' in p.stderr, p)
    code, out, err = s.run('topic', 'create', 'orders')
    ok('a topic is not made twice', code == 1 and 'TOPIC_ALREADY_EXISTS' in err and not out, (code, err))
    code, out, err = s.run('topic', 'create', 'bad', '--config', 'retention.ms=soon')
    ok('a wrong setting is refused by its name', code == 1 and 'retention.ms' in err, (code, err))
    code, out, err = s.run('topic', 'describe', 'ordres')
    ok('a topic that is not there: the nearest is named', code == 1 and "did you mean 'orders'?" in err, (code, err))
    one = s.objects('topic', 'describe', 'orders')[0]
    fsync, cache = ('durability=fsync', 'durability=page_cache') if s.ours else ('flush.messages=1', 'flush.messages=9')
    equal('describe tells how durable a topic is', (one['durability'], one['min_in_sync']), ('fsync' if s.ours else 'page_cache', 1))
    equal('and how large each partition is', [p['bytes'] for p in one['partitions']], [0, 0, 0])
    s.must('topic', 'alter', 'orders', '--config', cache, '--config', 'flush.ms=5000')
    text = s.must('topic', 'describe', 'orders')
    ok('in words: that power may take it back', 'page cache' in text and 'power may take it back; synced every 5s' in text, text)
    s.must('topic', 'alter', 'orders', '--config', fsync)
    text = s.must('topic', 'describe', 'orders')
    ok('in words: what acks=all means', 'durability: fsync: acks=all is answered when the record is on the disk' in text, text)
    s.must('topic', 'alter', 'orders', '--delete', fsync.split('=')[0], '--delete', 'flush.ms')
    equal('a topic that is there is kept, when asked for', s.objects('topic', 'create', 'orders', '--if-missing'),
          [{'topic': 'orders', 'done': 'kept'}])
    s.must('topic', 'add-partitions', 'orders', '4')
    equal('partitions are added', len(s.objects('topic', 'describe', 'orders')[0]['partitions']), 4)
    code, out, err = s.run('topic', 'add-partitions', 'orders', '2')
    ok('partitions are not taken away', code == 1 and '4 partitions already' in err, (code, err))
    s.must('topic', 'delete', 'plain')
    ok('a deleted topic is gone', 'plain' not in s.must('topic', 'list'))
    equal('a deletion of none fails', s.run('topic', 'delete', 'plain')[0], 1)


def configs(s):
    def settings():
        return {e['name']: e['value'] for e in s.objects('configs', 'describe', 'topic', 'orders')}
    equal('a setting given at the start is described', settings()['retention.ms'], '86400000')
    before = settings()
    s.must('configs', 'alter', 'topic', 'orders', 'segment.bytes=1048576')
    equal('altering one setting leaves the others', settings(), {**before, 'segment.bytes': '1048576'})
    s.must('topic', 'alter', 'orders', '--config', 'retention.ms=3600000', '--delete', 'segment.bytes')
    equal('deleting one brings its default back', settings(), {**before, 'retention.ms': '3600000'})
    code, out, err = s.run('topic', 'alter', 'orders', '--config', 'retention.m=1')
    ok('an unknown setting names the nearest', code == 2 and "did you mean 'retention.ms'?" in err, (code, err))
    equal('nothing was altered by that', settings(), {**before, 'retention.ms': '3600000'})
    changed = [e['name'] for e in s.objects('configs', 'describe', 'topic', 'orders', '--changed')]
    equal('--changed leaves out what nobody has set', [n for n in changed if n != 'min.insync.replicas'], ['retention.ms'])
    equal('a trial changes nothing', (s.objects('configs', 'alter', 'topic', 'orders', 'retention.ms=5', '--dry-run')[0]['done'], settings()),
          ('could alter', {**before, 'retention.ms': '3600000'}))
    code, out, err = s.run('configs', 'alter', 'topic', 'orders', 'retention.ms=soon', '--dry-run')
    ok('but is judged by the broker', code == 1 and 'retention.ms' in err and 'INVALID_CONFIG' in err, (code, err))
    two = [subprocess.Popen([MILLRACE, *s.cmd('configs', 'alter', 'topic', 'orders', setting)], cwd=s.d, stdout=subprocess.DEVNULL)
           for setting in ('segment.bytes=2097152', 'max.message.bytes=4096')]
    equal('two who alter at once both succeed', [p.wait(DEADLINE) for p in two], [0, 0])
    equal('and neither takes the other\'s change away', settings(),
          {**before, 'retention.ms': '3600000', 'segment.bytes': '2097152', 'max.message.bytes': '4096'})
    s.must('configs', 'alter', 'topic', 'orders', '--delete', 'segment.bytes', '--delete', 'max.message.bytes')
    ok('a broker is described by its number', 'message.max.bytes' in s.must('configs', 'describe', 'broker', '1'))
    code, out, err = s.run('configs', 'describe', 'broker', '7')
    ok('a broker that is not there: those that are, are told', code == 1 and '1 at 127.0.0.1' in err, (code, err))
    code, out, err = s.run('configs', 'describe', 'topic', 'order')
    ok('settings of no topic: the nearest is named', code == 1 and "did you mean 'orders'?" in err, (code, err))


def records(s):
    s.must('topic', 'create', 'r')
    s.must('produce', 'r', '--key-separator', ':', '--null', 'NULL', '--headers', 'a=1', '--headers', 'a=2',
           stdin='k1:v1\nk2:\nk3:NULL\n:x:y\n')
    got = s.read('r')
    equal('keys, empty values, nulls and separators in values arrive',
          [(r['key'], r['value']) for r in got], [('k1', 'v1'), ('k2', ''), ('k3', None), ('', 'x:y')])
    equal('headers keep their order and names that come twice', got[0].get('headers'),
          [{'key': 'a', 'value': '1'}, {'key': 'a', 'value': '2'}])
    code, out, err = s.run('produce', 'r', '--key-separator', ':', stdin='a:b\nno separator\nc:d\n')
    ok('a line without separator is named and ends it', code == 1 and 'standard input:2:' in err, (code, err))
    equal('what stood before it is stored', [r['value'] for r in s.read('r')][4:], ['b'])

    s.must('topic', 'create', 'j', '--partitions', '2')
    blob = bytes(range(256))
    lines = [
        {'key': 'k', 'value': 'grüße "\\ \n', 'headers': {'h': 'v', 'n': None}, 'timestamp': 1700000000123, 'partition': 1},
        {'value_base64': base64.b64encode(blob).decode(), 'key_base64': base64.b64encode(b'\xff').decode(), 'partition': 0},
        {'key': None, 'value': {'deep': [1, 2.50, 'x']}, 'timestamp': '2025-10-10T13:55:10.5Z', 'partition': 0},
        {'key': 'tomb', 'value': None, 'headers': [{'key': 'b', 'value_base64': '/w=='}], 'partition': 0},
        {'value': 12.50, 'partition': 0},
    ]
    text = '\n'.join(json.dumps(line) for line in lines) + '\n\n'
    open(os.path.join(s.d, 'in.json'), 'w').write(text)
    s.must('produce', 'j', 'in.json', '--json')
    one = s.read('j', '--partition', '1')
    equal('a JSON record arrives with all its parts', one, [
        {'topic': 'j', 'partition': 1, 'offset': 0, 'timestamp': 1700000000123, 'key': 'k', 'value': 'grüße "\\ \n',
         'headers': [{'key': 'h', 'value': 'v'}, {'key': 'n', 'value': None}]}])
    zero = s.read('j', '--partition', '0')
    equal('bytes that are no text come back as base64', base64.b64decode(zero[0]['value_base64']), blob)
    equal('a value that is no string is its JSON text', [zero[1]['value'], zero[3]['value']],
          ['{"deep": [1, 2.5, "x"]}', '12.5'])
    equal('a time may be a date', zero[1]['timestamp'], 1760104510500)
    equal('a header may hold bytes', zero[2]['headers'], [{'key': 'b', 'value_base64': '/w=='}])
    s.must('topic', 'create', 'copy', '--partitions', '2')
    s.must('produce', 'copy', '--json', stdin=s.must('consume', 'j', '--until-end', '--json'))
    order = lambda r: (r['partition'], r['offset'])  # noqa: E731
    equal('what consume --json writes, produce --json reads: the copy is equal',
          [{**r, 'topic': 'j'} for r in sorted(s.read('copy'), key=order)], sorted(s.read('j'), key=order))
    for name, line, why in (('a member that is not known', '{"vlaue":"x"}', "did you mean 'value'?"),
                            ('text that is no JSON', '{"value":', 'in:'), ('a list', '[1]', 'not an object'),
                            ('a wrong base64', '{"value_base64":"a"}', 'base64')):
        open(os.path.join(s.d, 'bad'), 'w').write('{"value":"fine"}\n' + line + '\n')
        code, out, err = s.run('produce', 'j', 'bad', '--json')
        ok('%s is refused with its line' % name, code == 1 and 'bad:2:' in err and (why in err or why == 'in:'), (code, err))
    code, out, err = s.run('produce', 'j', '--partition', '7', stdin='x\n')
    ok('a partition that is not there is told', code == 1 and 'no partition 7, but 0 to 1' in err, (code, err))
    equal('a file that is not there fails', s.run('produce', 'j', 'absent')[0], 1)


def codecs(s):
    s.must('topic', 'create', 'c')
    lines = ['line %d %s' % (i, 'x' * (i % 50)) for i in range(2000)]
    for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
        s.must('produce', 'c', '--compression', codec, stdin='\n'.join(lines))
    equal('what is compressed by any codec comes back in order', [r['value'] for r in s.read('c')], lines * 5)
    for acks in ('0', '1', 'all'):
        ok('acks %s stores' % acks, 'produced 1 record,' in s.run('produce', 'c', '--acks', acks, stdin='last\n')[2])
    until(lambda: s.objects('topic', 'describe', 'c')[0]['partitions'][0]['next'] == 10003, 20)
    equal('and is counted', s.objects('topic', 'describe', 'c')[0]['partitions'][0]['next'], 10003)
    code, out, err = s.run('produce', 'fresh', stdin='x\n')
    ok('a topic is not made by a typing mistake', code == 1 and 'topic create fresh' in err, (code, err))
    s.must('produce', 'fresh', '--create', stdin='x\n')
    equal('--create makes it', [r['value'] for r in s.read('fresh')], ['x'])


def places(s):
    s.must('topic', 'create', 'p')
    s.must('produce', 'p', '--json', stdin=''.join(
        '{"value":"%d","timestamp":%d}\n' % (i, 1700000000000 + i * 1000) for i in range(100)))

    def values(place):
        return [int(r['value']) for r in s.read('p', '--from', place)]
    for place, want in (('beginning', range(100)), ('end', []), ('97', [97, 98, 99]), ('-2', [98, 99]), ('-1000', range(100)),
                        ('5000', []), ('@1700000098500', [99]), ('2023-11-14T22:14:57Z', [97, 98, 99]), ('2023-11-14', range(100)), ('2023-11-15', []), ('1h', [])):
        equal('--from %s starts there' % place, values(place), list(want))
    for until_, want in (('end', 100), ('10', 10), ('-90', 10), ('@1700000004500', 5), ('5000', 100), ('beginning', 0)):
        equal('--until %s ends there' % until_, len(s.must('consume', 'p', '--until', until_).split()), want)
    equal('from and until cut a piece out', s.must('consume', 'p', '--from', '@1700000010000', '--until', '@1700000013000'), '10\n11\n12\n')
    equal('--count ends', s.must('consume', 'p', '--count', '3'), '0\n1\n2\n')
    equal('--format writes what it says', s.must('consume', 'p', '--count', '1', '--format', '%t/%p/%o %k|%v %T %D %K %S 100%%\\t.\\n'),
          'p/0/0 |0 1700000000000 2023-11-14T22:13:20Z -1 1 100%\t.\n')
    p = subprocess.Popen([MILLRACE, *s.cmd('consume', 'c', '--from', 'beginning')], cwd=s.d, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    p.stdout.readline()
    p.stdout.close()
    s.must('produce', 'c', stdin='more\n')
    ok('a reader that has had enough is no failure', p.wait(DEADLINE) == 0 and not p.stderr.read(), p.returncode)
    p.stderr.close()


def shows(s):
    s.must('topic', 'create', 's')
    s.must('produce', 's', '--json', stdin=''.join(json.dumps(r) + '\n' for r in (
        {'key_base64': base64.b64encode(b'\xff\xff\xff\xfe').decode(), 'value': '{"a": [1,\n 2]}'},
        {'key_base64': base64.b64encode(b'\x7f').decode(), 'value': 'no json'},
        {'key': 'abc', 'value_base64': '/wA='}, {'key': None, 'value': None})))
    got = s.read('s', '--decode', 'json', '--decode', 'key=int')
    equal('numbers of 1 and 4 bytes are read with their sign, others stay bytes, null stays null',
          [r['key'] for r in got], [-2, 127, '0x616263', None])
    equal('JSON stays JSON, on one line, what is none stays text or base64', [r.get('value', r.get('value_base64')) for r in got],
          [{'a': [1, 2]}, 'no json', '/wA=', None])
    equal('hex and base64 are for formats too', s.must('consume', 's', '--until', 'end', '--decode', 'hex', '--decode', 'key=base64',
                                                       '--null', '-', '--format', '%k %v\n').splitlines()[2:], ['YWJj ff00', '- -'])
    code, out, err = s.run('consume', 's', '--decode', 'kafka')
    ok('what is Kafka\'s own is decoded in its topics alone', code == 2 and '__consumer_offsets' in err, (code, err))
    s.must('consume', 's', '--group', 'watched', '--until', 'end')
    kept = s.read('__consumer_offsets')
    last = [r for r in kept if r['key'] == {'kind': 'offset', 'group': 'watched', 'topic': 's', 'partition': 0}][-1]
    equal('a committed offset is read in __consumer_offsets', last['value']['offset'], 4)
    group = [r['value'] for r in kept if r['key'] == {'kind': 'group', 'group': 'watched'} and r['value'] and r['value']['members']][-1]
    equal('and so is a member with what it reads', (group['protocol_type'], group['members'][0]['subscription']['topics'],
                                                    group['members'][0]['assignment']['assigned_partitions']),
          ('consumer', ['s'], [{'topic': 's', 'partitions': [0]}]))
    ok('in a line as well', '{"kind":"offset","group":"watched","topic":"s","partition":0} {"offset":4' in
       s.must('consume', '__consumer_offsets', '--until', 'end'))
    raw = s.read('__consumer_offsets', '--decode', 'bytes', '--decode', 'key=bytes')
    ok('and as bytes, when asked for', all(not isinstance(r.get('key'), dict) and not isinstance(r.get('value'), dict) for r in raw), raw)
    s.must('produce', 's', '--transactional-id', 'seen', stdin='x\n')

    def states():
        return [r['value'] for r in s.read('__transaction_state') if r['key'] == {'kind': 'transaction', 'transactional_id': 'seen'}]
    ok('the state of a transaction is read in __transaction_state', until(lambda: states()[-1]['state'] == 'CompleteCommit', 20), states())
    ok('with where it has written', {'topic': 's', 'partitions': [0]} in sum((v['partitions'] or [] for v in states()), []), states())


def wholes(s):
    s.must('topic', 'create', 'w')
    open(os.path.join(s.d, 'w1'), 'w').write('two\nlines\n')
    open(os.path.join(s.d, 'w2'), 'w').write('')
    equal('a report is an object', {k: v for k, v in json.loads(s.must('produce', 'w', 'w1', 'w2', '--whole', '--report')).items()
                                    if k != 'ms'}, {'topic': 'w', 'records': 2, 'failed': 0, 'bytes': 10})
    equal('--whole makes a record of a file', [r['value'] for r in s.read('w')], ['two\nlines\n', ''])
    s.must('topic', 'create', 'wt')
    code, out, err = s.run('produce', 'wt', '--json', '--transactional-id', 'wt', '--transaction-every', '3', '--report',
                           stdin=''.join('{"value":"%d"}\n' % i for i in range(8)) + 'broken\n')
    ok('transactions of so many records each: those before a bad line stay', code == 1 and json.loads(out)['committed'] == 6, (out, err))
    equal('and no others are seen', [r['value'] for r in s.read('wt')], [str(i) for i in range(6)])
    code, out, err = s.run('produce', 'wt', '--transaction-every', '3')
    ok('they need an id', code == 2 and '--transactional-id' in err, (code, err))


def groups(s):
    s.must('topic', 'create', 'g', '--partitions', '2')
    s.must('produce', 'g', '--partition', '0', stdin=''.join('%d\n' % i for i in range(100)))
    equal('a group reads from the beginning', s.must('consume', 'g', '--group', 'team', '--count', '60').split()[-1], '59')
    equal('and goes on where it was', s.must('consume', 'g', '--group', 'team', '--count', '10').split(),
          [str(i) for i in range(60, 70)])

    def committed():
        got = s.objects('group', 'describe', 'team')[0]['partitions']
        return {p['partition']: (p['committed'], p['lag']) for p in got}
    equal('describe tells what is committed and the lag', committed().get(0), (70, 30))
    ok('it is listed', {'group': 'team', 'state': 'Empty', 'type': 'classic', 'coordinator': 1} in s.objects('group', 'list'),
       s.must('group', 'list'))
    equal('groups of one state can be listed', s.objects('group', 'list', '--state', 'stable'), [])
    ok('the table tells the lag', 'lag 30' in s.must('group', 'describe', 'team'), s.must('group', 'describe', 'team'))
    code, out, err = s.run('group', 'describe', 'taem')
    ok('a group that is not there: the nearest is named', code == 1 and "did you mean 'team'?" in err, (code, err))

    for place, want in (('beginning', 0), ('end', 100), ('12', 12), ('-5', 95), ('shift:-10', 60), ('shift:1000', 100),
                        ('1h', 0), ('2020-01-01T00:00:00Z', 0)):
        plan = {p['partition']: p['new'] for p in s.objects('group', 'reset', 'team', '--topic', 'g', '--to', place)}
        equal('a plan to %s' % place, plan, {0: want, 1: 0})
    for how, want in ((['--to-earliest'], 0), (['--to-latest'], 100), (['--to-offset', '12'], 12), (['--shift', '-10'], 60),
                      (['--to-time', '1h'], 0)):
        plan = s.objects('group', 'reset', 'team', '--topic', 'g:0', *how)
        equal('a plan %s for one partition' % ' '.join(how), plan, [{'topic': 'g', 'partition': 0, 'committed': 70, 'new': want}])
    equal('--all-topics is what was committed', [(p['topic'], p['partition']) for p in
                                                 s.objects('group', 'reset', 'team', '--all-topics', '--to', 'end')],
          sorted(('g', p) for p in committed()))
    equal('plans change nothing', committed().get(0), (70, 30))
    code, out, err = s.run('group', 'reset', 'team', '--topic', 'g:5', '--to', 'end')
    ok('a partition that is not there is told', code == 1 and 'no partition 5, but 0 to 1' in err, (code, err))
    text = s.must('group', 'reset', 'team', '--topic', 'g:0', '--to', '33', '--json')
    equal('a plan that was printed is carried out', json.loads(s.must('group', 'reset', 'team', '--plan', '-', '--execute', '--json', stdin=text)),
          {'topic': 'g', 'partition': 0, 'committed': 70, 'new': 33})
    equal('so the group is there', committed().get(0), (33, 67))
    s.must('group', 'reset', 'team', '--plan', '-', '--execute', stdin='g,0,500\n')
    equal('a plan may be TOPIC,PARTITION,OFFSET, and ends within the partition', committed().get(0), (100, 0))
    for name, line, why in (('no plan', 'g;0;1', 'not a line of a plan'), ('no topic', 'h,0,1', "no topic 'h'"),
                            ('no partition', 'g,9,1', 'no partition 9'), ('nothing', '', 'is empty')):
        code, out, err = s.run('group', 'reset', 'team', '--plan', '-', '--execute', stdin='\n' + line + '\n')
        ok('a plan of %s is refused' % name, code == 1 and why in err and (not line or '-:2' in err), (code, err))
    s.must('group', 'reset', 'team', '--topic', 'g', '--to', '95', '--execute')
    equal('--execute does', committed().get(0), (95, 5))
    equal('the group reads from there', s.must('consume', 'g', '--group', 'team', '--until-end').split(),
          [str(i) for i in range(95, 100)])

    out = open(os.path.join(s.d, 'member.out'), 'wb')
    p = subprocess.Popen([MILLRACE, *s.cmd('consume', 'g', '--group', 'team')], cwd=s.d, stdout=out, stderr=subprocess.PIPE)
    found = until(lambda: [m for m in s.objects('group', 'describe', 'team')[0]['partitions'] if m['member']])
    equal('a member is told with its partitions', [m['partition'] for m in found], [0, 1])
    code, _, err = s.run('group', 'reset', 'team', '--topic', 'g', '--to', 'end', '--execute')
    ok('a group with members is not moved, and the way out', code == 1 and 'stop the group' in err, (code, err))
    code, _, err = s.run('group', 'delete', 'team')
    ok('nor deleted', code == 1 and 'has 1 member' in err and 'stop the group' in err, (code, err))
    code, plan, err = s.run('group', 'reset', 'team', '--topic', 'g', '--to', 'end', '--dry-run')
    ok('but what would be done is shown', code == 0 and 'NEW' in plan and 'stopped' in err, (code, err))
    ok('the table names the coordinator and the type', 'coordinator broker 1, type classic' in s.must('group', 'describe', 'team'))
    s.must('produce', 'g', '--partition', '1', stdin='late\n')
    ok('what comes is written at once', until(lambda: open(out.name).read() == 'late\n'), open(out.name).read())
    p.send_signal(signal.SIGINT)
    ok('Ctrl-C ends it clean', p.wait(DEADLINE) == 0 and not p.stderr.read(), p.returncode)
    p.stderr.close()
    out.close()
    equal('and what was written is committed', committed(), {0: (100, 0), 1: (1, 0)})
    ok('a deletion of none fails', s.run('group', 'delete', 'meat')[0] == 1)
    s.must('group', 'delete', 'team')
    ok('a deleted group is gone', 'team' not in s.must('group', 'list'))


def away_and_back(d):
    """A broker that goes and comes: who waits for it is told, who is to end gives up."""
    port = free_port()
    where = '127.0.0.1:%d' % port
    s, serve = Site(d, where), ('serve', '--data', 'away', '--listen', where)
    err = open(os.path.join(d, 'waiting'), 'wb')
    with running(d, *serve):
        listening(port)
        s.must('produce', 'a', '--create', stdin='one\n')
        p = subprocess.Popen([MILLRACE, *s.cmd('consume', 'a')], cwd=d, stdout=subprocess.PIPE, stderr=err)
        q = subprocess.Popen([MILLRACE, *s.cmd('consume', 'a', '--count', '9', '--timeout', '1s')], cwd=d, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        equal('both read', (p.stdout.readline(), q.stdout.readline()), (b'one\n', b'one\n'))
    said_ = lambda: open(err.name).read()  # noqa: E731
    ok('who waits is told that no broker answers', until(lambda: 'waiting for one' in said_(), 60), said_())
    code, text = q.wait(DEADLINE), q.stderr.read().decode()
    ok('who is to end gives up after --timeout', code == 1 and 'no broker answers' in text and '--broker HOST:PORT' in text, (code, text))
    with running(d, *serve):
        listening(port)
        s.must('produce', 'a', stdin='two\n')
        equal('it goes on when one does again', p.stdout.readline(), b'two\n')
        ok('and says so', until(lambda: 'answers again' in said_(), 60), said_())
        p.send_signal(signal.SIGINT)
        equal('and ends clean', p.wait(DEADLINE), 0)
    for f in (p.stdout, q.stdout, q.stderr, err):
        f.close()


def interrupted(s):
    s.must('topic', 'create', 'i')
    p = subprocess.Popen([MILLRACE, *s.cmd('produce', 'i')], cwd=s.d, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdin.write(b'one\ntwo\n')
    p.stdin.flush()
    ok('a line is stored while more may come', until(lambda: len(s.read('i')) == 2), s.read('i'))
    p.send_signal(signal.SIGINT)
    code, err = p.wait(DEADLINE), p.stderr.read().decode()
    ok('Ctrl-C ends produce with a count', code == 0 and 'produced 2 records' in err and 'interrupted' in err, (code, err))
    p.stdin.close()
    p.stderr.close()
    p = subprocess.Popen([MILLRACE, *s.cmd('consume', 'i', '--from', 'end')], cwd=s.d, stdout=subprocess.PIPE)
    until(lambda: catches(p.pid, signal.SIGINT), 20)
    p.send_signal(signal.SIGTERM)
    equal('SIGTERM ends consume', p.wait(DEADLINE), 0)
    p.stdout.close()


def progress(s):
    """On a terminal produce shows how far it is; elsewhere standard error stays for what matters."""
    mine, theirs = os.openpty()
    os.set_blocking(mine, False)
    p = subprocess.Popen([MILLRACE, *s.cmd('produce', 'i')], cwd=s.d, stdin=subprocess.PIPE, stderr=theirs)
    seen = b''

    def feed():
        nonlocal seen
        p.stdin.write(b'line\n')
        p.stdin.flush()
        try:
            seen += os.read(mine, 4096)
        except BlockingIOError:
            pass
        return b'records/s' in seen
    ok('progress is shown on a terminal', until(feed, 20), seen)
    p.stdin.close()
    equal('and the end is clean', p.wait(DEADLINE), 0)
    os.close(mine)
    os.close(theirs)
    ok('elsewhere it is not', b'\r' not in s.run('produce', 'i', stdin='x\n' * 1000)[2].encode())


def transactions(s):
    s.must('topic', 'create', 't')
    code, out, err = s.run('produce', 't', '--transactional-id', 'x', stdin='one\ntwo\n')
    ok('a transaction is committed', code == 0 and 'produced 2 records' in err, (code, err))
    equal('its records are seen', [r['value'] for r in s.read('t')], ['one', 'two'])
    s.must('consume', 't', '--group', 'ledger', '--until-end')
    equal('the marker of a transaction that was read to its end is no lag',
          [p['lag'] for p in s.objects('group', 'describe', 'ledger')[0]['partitions']], [0])
    code, out, err = s.run('produce', 't', '--transactional-id', 'x', '--json', stdin='{"value":"three"}\nbroken\n')
    ok('one bad line takes all back', code == 1 and 'none of them is committed' in err, (code, err))
    equal('and nothing more is seen', [r['value'] for r in s.read('t')], ['one', 'two'])
    s.must('topic', 'create', 'u')
    p = subprocess.Popen([MILLRACE, *s.cmd('produce', 'u', '--transactional-id', 'pay-1')], cwd=s.d, stdin=subprocess.PIPE)
    p.stdin.write(b'never\n')
    p.stdin.flush()
    ok('an open transaction is seen with --uncommitted', until(lambda: len(s.read('u', '--uncommitted')) == 1))
    p.kill()
    p.wait()
    p.stdin.close()
    s.must('produce', 'u', stdin='after\n')
    equal('and holds back what comes behind it', s.read('u'), [])
    state = {t['transactional_id']: t['state'] for t in s.objects('txn', 'list')}
    ok('the list tells the state of each id', state['x'] in ('Empty', 'CompleteAbort') and state['pay-1'] == 'Ongoing', state)
    equal('and can be of one state', [t['transactional_id'] for t in s.objects('txn', 'list', '--state', 'ongoing')], ['pay-1'])
    equal('or of what is open for long', s.objects('txn', 'list', '--state', 'Ongoing', '--longer', '1h'), [])
    one = s.objects('txn', 'describe', 'pay-1')[0]
    equal('describe tells where it has written', (one['state'], one['partitions']), ('Ongoing', [{'topic': 'u', 'partition': 0}]))
    ok('and since when', 0 <= time.time() * 1000 - one['began'] < 60000, one)
    ok('in words too', 'writes to    u partition 0' in s.must('txn', 'describe', 'pay-1'), s.must('txn', 'describe', 'pay-1'))
    code, out, err = s.run('txn', 'describe', 'pay-2')
    ok('an id that is not there: the nearest is named', code == 1 and "did you mean 'pay-1'?" in err, (code, err))
    who = s.objects('txn', 'producers', 'u:0')
    equal('producers tells what is open from where', [p['open_from'] for p in who if p['producer_id'] == one['producer_id']], [0])
    code, out, err = s.run('txn', 'producers', 'u:7')
    ok('of a partition that is not there nothing', code == 1 and "no partition 7, but 0 to 0" in err, (code, err))
    equal('what a coordinator has does not hang', s.objects('txn', 'hanging'), [])
    code, out, err = s.run('txn', 'abort', '--partition', 'u:0', '--from', '0')
    ok('and is not aborted in its partition, but by its id', code == 1 and 'txn abort pay-1' in err, (code, err))
    code, out, err = s.run('txn', 'abort', '--partition', 'u:0', '--from', '77')
    ok('where nothing is open that is told', code == 1 and 'no transaction is open from offset 77' in err, (code, err))
    equal('abort says what it did', s.objects('txn', 'abort', 'pay-1'), [{'transactional_id': 'pay-1', 'done': 'aborted'}])
    ok('abort ends it: what came behind is seen, what was in it is not',
       until(lambda: [r['value'] for r in s.read('u')] == ['after'], 20), s.read('u', '--uncommitted'))


PARTS = (topics, configs, records, codecs, places, shows, wholes, groups, interrupted, progress, transactions)


def timed(part, s):
    start = time.monotonic()
    part(s)
    print('# %s: %.1f s' % (part.__name__, time.monotonic() - start), flush=True)


def main():
    helps()
    mistakes()
    with folder() as d:
        timed(away_and_back, d)
    with folder() as d:
        port = free_port()
        where = '127.0.0.1:%d' % port
        with running(d, 'serve', '--data', 'data', '--listen', where, '--no-create'):
            if not ok('serve listens', listening(port), said(d)):
                return
            s = Site(d, where)
            s.must('configs', 'alter', 'broker', 'default', 'group.initial.rebalance.delay.ms=0') # as Kafka's own tests do
            for part in PARTS:
                timed(part, s)


if __name__ == '__main__':
    main()
    done()
