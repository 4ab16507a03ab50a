"""kcat_client.py BOOTSTRAP - kcat, the small client over Debian's librdkafka."""
import json
import subprocess
import sys
import time

from said import CODECS, EACH, Skip, done, same, step, until

WHERE = sys.argv[1]
sent = []


def kcat(*args, stdin=None):
    p = subprocess.run(['kcat', '-q', '-b', WHERE, *args], input=stdin, capture_output=True, timeout=60)
    if p.returncode:
        raise AssertionError('kcat %s: %s' % (' '.join(args), p.stderr.decode(errors='replace')))
    return p.stdout


def metadata():
    same('brokers', len(json.loads(kcat('-L', '-J'))['brokers']), 1)


def create():  # by asking for its metadata, as kcat has no admin calls
    kcat('-P', '-t', 'codecs', '-p', '0', stdin=b'first\n')
    sent.append(b'first')
    same('topics', [t['topic'] for t in json.loads(kcat('-L', '-J'))['topics']], ['codecs'])


def produce():
    for codec in CODECS:
        for acks in ('0', '1', 'all'):
            lines = [('%s %s %d ' % (codec, acks, i)).encode() * 20 for i in range(EACH)]
            kcat('-P', '-t', 'codecs', '-p', '0', '-z', codec, '-X', 'acks=' + acks, stdin=b'\n'.join(lines) + b'\n')
            sent.extend(lines)
            if acks == '0':  # nobody waited: let it arrive before the next one writes
                until('arrival', lambda: b'%d' % len(sent) in kcat('-Q', '-t', 'codecs:0:-1'), 10)


def read():
    for start in (0, 1, 150, len(sent) - 1):
        got = kcat('-C', '-t', 'codecs', '-p', '0', '-o', str(start), '-e').split(b'\n')[:-1]
        same('lines from %d' % start, got, sent[start:])


def offsets():
    same('beginning', kcat('-Q', '-t', 'codecs:0:-2').split()[-1], b'0')
    same('end', kcat('-Q', '-t', 'codecs:0:-1').split()[-1], b'%d' % len(sent))


def group():
    seen = []
    for count in (100, 100):
        seen += kcat('-G', 'resume', '-X', 'auto.offset.reset=earliest', '-c', str(count), 'codecs').split(b'\n')[:-1]
    same('each line once', seen, sent[:200])


def rebalance():
    for p in range(4):  # a topic of its own; how many partitions it has is the broker's to say
        subprocess.run(['kcat', '-q', '-b', WHERE, '-P', '-t', 'shared'], input=b'x\n', check=True, timeout=30)
    run = ['kcat', '-b', WHERE, '-X', 'heartbeat.interval.ms=300', '-X',
           'partition.assignment.strategy=roundrobin', '-G', 'two', 'shared', 'codecs']
    a = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1)
    b = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        time.sleep(6)
        a.terminate()
        time.sleep(4)
    finally:
        b.terminate()
    told = [p.communicate(timeout=30)[1].decode() for p in (a, b)]
    last = [[line for line in t.split('\n') if 'assigned:' in line][-1].split('assigned:')[1].count('[') for t in told]
    same('the one who stays has all', last[1] > last[0] > 0, True)


def idempotent():
    lines = [b'once %d' % i for i in range(200)]
    kcat('-P', '-t', 'once', '-p', '0', '-X', 'enable.idempotence=true', stdin=b'\n'.join(lines) + b'\n')
    same('lines', kcat('-C', '-t', 'once', '-p', '0', '-o', '0', '-e').split(b'\n')[:-1], lines)


def no_admin():
    raise Skip('kcat has no admin calls')


def no_transactions():
    raise Skip('kcat has no transactions')


step('metadata', metadata)
step('create topics', create)
step('codecs x acks', produce)
step('read from offsets', read)
step('list offsets', offsets)
step('group resumes', group)
step('two members share', rebalance)
step('admin', no_admin)
step('idempotent', idempotent)
step('transactions', no_transactions)
done()
