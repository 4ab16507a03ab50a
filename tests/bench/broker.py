#!/usr/bin/env python3
"""broker.py - millrace's log beside Apache Kafka, NATS JetStream and, where it says so, the limits of this machine.

    bench.py broker [--reps N]      all of it, in Markdown, in about a quarter of an hour
    broker.py [--reps N] PART...    produce latency sync fetch memory rebalance start

The same client for the servers that speak the same protocol (broker_load.c, broker_raw.c; nats_load.c is as small), the
same disk, the same minute: the servers run side by side, loads in turn, and the disk is brought to rest before each. CPU
is from /proc. A server that cannot be had (broker_servers.py) is left out, and said. Progress goes to stderr. Nothing
here judges: it prints.
"""
import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time

from broker_servers import (DATA, ROOT, Kafka, Millrace, Nats, all_open, forget_peak, have_kafka, memory_of, nats_server, say)

SECONDS = 3           # of each load
WINDOW = 4000         # records that a NATS client has unacknowledged, as its own clients have it
PAGE_CACHE = {'durability': 'page_cache'}
EACH = {'flush.messages': '1'}
GONE_AT_ONCE = {'file.delete.delay.ms': '100'}


def build():
    os.makedirs(DATA, exist_ok=True)
    for name, libraries in (('broker_load', ['-lrdkafka']), ('broker_raw', []), ('nats_load', [])):
        subprocess.run(['gcc', '-O2', '-std=c11', '-D_GNU_SOURCE', os.path.join(ROOT, 'tests/bench', name + '.c'), '-o',
                        os.path.join(DATA, name), *libraries, '-lpthread'], check=True)


def load(program, *args, timeout=300):
    """What it says, or None when it failed: a figure that is missing is shown so."""
    command = [os.path.join(DATA, program), *map(str, args)]
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        say('%s: not done after %d s' % (' '.join(command[:2] + command[2:5]), timeout))
        return None
    if p.returncode:
        say('%s: %s' % (' '.join(command), p.stderr.strip()))
        return None
    got = json.loads(p.stdout)
    if got.get('failed'):
        say('%s: %d records failed' % (' '.join(command), got['failed']))
    return got


def rest():
    """What one server has left to be written is not to be another's burden."""
    os.sync()
    time.sleep(0.2)


# ---------------------------------------------------------------- showing

def big(v):
    if v is None:
        return '-'
    return '%.2f M' % (v / 1e6) if v >= 1e6 else '%.0f k' % (v / 1e3) if v >= 1e4 else '%.0f' % v


def ms(v):
    return '-' if v is None else '%.0f' % v if v >= 100 else '%.1f' % v if v >= 10 else '%.2f' % v


def over(a, b):
    return '' if a is None or not b else '%.2f' % (a / b)


def head(title, note, columns):
    print('\n### %s\n\n%s\n\n| %s |\n|%s' % (title, note, ' | '.join(columns), '---|' * len(columns)), flush=True)


def row(*cells):
    print('| %s |' % ' | '.join(str(c) for c in cells), flush=True)


def parts(n):
    return '%d partition%s' % (n, '' if n == 1 else 's')


def span(values):
    """Least to most."""
    values = [v for v in values if v]
    return '-' if not values else '%.2f to %.2f, median %.2f' % (min(values), max(values), statistics.median(values))


def quotient(a, b):
    return a / b if a is not None and b else None


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


# ---------------------------------------------------------------- producing

class Run:
    """One server in one role: what it is called, and how a topic of it is made."""

    def __init__(self, server, title=None, configs=None):
        self.server, self.title, self.configs = server, title or server.title, configs or {}

    def topic(self, name, partitions):
        self.name = name
        if self.server.kafka:
            self.server.topic(name, partitions, dict(GONE_AT_ONCE, **self.configs))

    def drop(self):
        if self.server.kafka:
            self.server.drop(self.name)

    def produce(self, partitions, size, acks):
        rest()
        cpu = self.server.cpu()
        if self.server.kafka:
            r = load('broker_load', 'produce', self.server.address, self.name, SECONDS, size, acks)
        else:
            r = load('nats_load', 'publish', '127.0.0.1', self.server.port, partitions, SECONDS, size, WINDOW)
        if not r or not r['records']:
            return None
        used = max(self.server.cpu() - cpu, 0.01)
        return {'rate': r['rate'], 'per_cpu': r['records'] / used, 'broker': used / r['seconds'],
                'client': r['client_cpu'] / r['seconds']}

    def latency(self, partitions, rate, acks, linger, warm, seconds):
        rest()
        if self.server.kafka:
            return load('broker_load', 'latency', self.server.address, self.name, partitions, int(rate), warm, seconds, 100, acks,
                        linger, self.server.pid)
        return load('nats_load', 'latency', '127.0.0.1', self.server.port, partitions, int(rate), warm, seconds, 100, WINDOW,
                    self.server.pid)


def turns(runs, reps, partitions, size, acks, name):
    """Medians of each run, repetition by repetition in turn."""
    got = [[] for _ in runs]
    for r in runs:
        r.topic(name, partitions)
    for _ in range(reps):
        for g, r in zip(got, runs):
            g.append(r.produce(partitions, size, acks))
    for r in runs:
        r.drop()
    return [{k: median([x[k] for x in g if x]) for k in ('rate', 'per_cpu', 'broker', 'client')} for g in got]


def cores(m):
    return '' if m['client'] is None else ' (%.2f + %.2f)' % (m['client'], m['broker'])


def produce(s):
    runs = [Run(b) for b in s.brokers] + [Run(b) for b in s.nats[:1]]
    head('Producing', 'Bars: at least 4 times Kafka\'s records per broker CPU second, and at least its rate. In brackets, cores in use: client + '
         'broker; where the client has about one and the broker is far from that, the client is what limits. millrace fsyncs before '
         'a record is visible, the others do not. NATS: %d acknowledgements under way, streams as partitions.' % WINDOW,
         ['load', 'figure', *[r.title for r in runs], 'ratio to Kafka'])
    per_cpu, rate = [], []
    for size in (100, 1000):
        for acks in ('1', 'all'):
            for n in (1, 16):
                some = runs if acks == 'all' else runs[:len(s.brokers)]
                m = turns(some, s.reps, n, size, acks, 'p%d-%s-%d' % (size, acks, n))
                k = m[1] if s.kafka else {'rate': None, 'per_cpu': None}
                title = '%s, acks=%s, %s' % ('100 B' if size == 100 else '1 KB', acks, parts(n))
                gap = [''] * (len(runs) - len(some))
                row(title, 'records per broker CPU s', *[big(x['per_cpu']) for x in m], *gap, over(m[0]['per_cpu'], k['per_cpu']))
                row('', 'records a second', *[big(x['rate']) + cores(x) for x in m], *gap, over(m[0]['rate'], k['rate']))
                per_cpu.append(quotient(m[0]['per_cpu'], k['per_cpu']))
                rate.append(quotient(m[0]['rate'], k['rate']))
    s.bar('producing, records per broker CPU second over Kafka\'s', 'at least 4', span(per_cpu))
    s.bar('highest sustained rate over Kafka\'s', 'at least 1, or the client limits', span(rate))


def sync(s):
    runs = [Run(s.brokers[0], 'millrace, fsync (default)'), Run(s.brokers[0], 'millrace, durability=page_cache', PAGE_CACHE)]
    if s.kafka:
        runs += [Run(s.kafka, 'Kafka (default: no fsync)'), Run(s.kafka, 'Kafka, flush.messages=1', EACH)]
    runs += [Run(b) for b in s.nats]
    head('What fsync costs', 'acks=all, each with and without its fsync before the answer: records a second, and records per broker CPU second; '
         'latency from produce to consume at 1,000 records a second, linger.ms 0: p50 / p99 in ms.',
         ['load', *[r.title for r in runs]])
    ours, theirs = [], []
    for size in (100, 1000):
        for n in (1, 16):
            m = turns(runs, 1, n, size, 'all', 's%d-%d' % (size, n))
            title = '%s, %s' % ('100 B' if size == 100 else '1 KB', parts(n))
            row(title + ': a second', *[big(x['rate']) for x in m])
            ours.append(quotient(m[0]['rate'], m[1]['rate']))
            theirs.append(quotient(m[3]['rate'], m[2]['rate']) if s.kafka else None)
            row(title + ': per broker CPU s', *[big(x['per_cpu']) for x in m])
    cells = []
    for i, r in enumerate(runs):
        r.topic('sl%d' % i, 1)
        g = r.latency(1, 1000, 'all', 0, 0.5, 3)
        cells.append('%s / %s' % (ms(g['p50']), ms(g['p99'])) if g else '-')
        r.drop()
    row('latency', *cells)
    s.bar('acks=all, rate with fsync over rate without', 'reported', 'ours %s; Kafka\'s %s' % (span(ours), span(theirs)))


# ---------------------------------------------------------------- latency

def latency_cell(g, rate, n):
    if not g:
        return '-'
    note = ''
    if g['read'] != g['sent'] or g['disordered']:
        note += ', %d of %d read, %d out of order' % (g['read'], g['sent'], g['disordered'])
    if g['rate'] < 0.98 * rate:
        note += ', only %s/s' % big(g['rate'])
    return '%s / %s / %s (%.2f + %.2f%s)' % (ms(g['p50']), ms(g['p99']), ms(g['p999']), g['client_cpu'], g['broker_cpu'], note)


def latency(s):
    runs = [Run(s.brokers[0]), Run(s.brokers[0], 'millrace, durability=page_cache', PAGE_CACHE)]
    if s.kafka:
        runs.append(Run(s.kafka))
    runs += [Run(b) for b in s.nats[:1]]
    top = Run(s.kafka or s.brokers[0])
    head('Latency', '100 B records from just before produce() to the consumer\'s having them, one process, steady pace, a second of warming up '
         'left out: p50 / p99 / p99.9 in ms, in brackets cores in use by client + broker. Every record is checked to come, once and in order. '
         'Half and a tenth of the highest rate at which this process produces and consumes with Kafka, measured just before. Bar: at '
         'half the rate p99 is at most a third of Kafka\'s. A linger.ms of 5 (librdkafka\'s default) alone is up to 5 ms.',
         ['rate', 'acks, linger.ms', *[r.title for r in runs], 'p99, ours over Kafka\'s', 'page cache only'])
    ratios = {}
    for n in (1, 16):
        for i, r in enumerate(runs):
            r.topic('lat%d-%d' % (n, i), n)
        top.topic('top%d' % n, n)
        highest = {acks: (top.latency(n, 0, acks, 5, 0, SECONDS) or {'rate': 0})['rate'] for acks in ('1', 'all')}
        top.drop()
        for part, what in ((2, 'half'), (10, 'a tenth')):
            for acks in ('1', 'all'):
                rate = highest[acks] / part
                for linger in (0, 5):
                    some = runs if acks == 'all' and linger == 0 else [r for r in runs if r.server.kafka]
                    got = [r.latency(n, rate, acks, linger, 1, SECONDS) for r in some]
                    k = got[2] if s.kafka else None
                    row('%s: %s a second, %s' % (what, big(rate), parts(n)), 'acks=%s, %d' % (acks, linger),
                        *[latency_cell(g, rate, n) for g in got], *[''] * (len(runs) - len(some)),
                        *[over(g['p99'], k['p99']) if g and k else '' for g in got[:2]])
                    for role, g in enumerate(got[:2]):
                        if part == 2 and g and k:
                            ratios.setdefault((linger, role), []).append(quotient(g['p99'], k['p99']))
        for r in runs:
            r.drop()
    for linger in (0, 5):
        s.bar('p99 at half Kafka\'s highest rate over Kafka\'s, linger.ms %d' % linger, 'at most 0.33',
              'with fsync %s; page cache only %s' % (span(ratios.get((linger, 0), [])), span(ratios.get((linger, 1), []))))


# ---------------------------------------------------------------- consuming

def fetch(s):
    file = os.path.join(DATA, 'sendfile.bin')
    if not os.path.exists(file):
        with open(file, 'wb') as f:
            for _ in range(1024):
                f.write(os.urandom(1 << 20))
    runs = [Run(b) for b in s.brokers]
    for r in runs:
        r.topic('backlog', 1)
        load('broker_load', 'fill', r.server.address, 'backlog', 1000000, 1000)
    rest()
    for r in runs:  # into the cache, where it is not there yet
        load('broker_raw', 'fetch', '127.0.0.1', r.server.port, 'backlog', 0)
    limit, got, cpu = [], [[] for _ in runs], [[] for _ in runs]
    for _ in range(s.reps + 2):
        limit.append((load('broker_raw', 'sendfile', file) or {'mb_s': None})['mb_s'])
        for g, c, r in zip(got, cpu, runs):
            before = r.server.cpu()
            x = load('broker_raw', 'fetch', '127.0.0.1', r.server.port, 'backlog', 0)
            if x:
                g.append(x['mb_s'])
                c.append((r.server.cpu() - before) / (x['bytes'] / 1e9))
    for r in runs:
        r.drop()
    m, top = [median(g) for g in got], median(limit)
    nats = []
    for b in s.nats[:1]:
        p = load('nats_load', 'publish', '127.0.0.1', b.port, 1, SECONDS, 1000, WINDOW)
        c = p and load('nats_load', 'consume', '127.0.0.1', b.port, 0, p['records'])
        nats.append('%.0f' % c['mb_s'] if c else '-')
    head('Consuming a cached backlog', 'A raw fetch client that throws 1 GB of 1 KB records away (NATS: a pull consumer, 10,000 records asked for). Bar: 70 %% of what '
         'sendfile alone moves over loopback here: %.0f MB/s.' % (top or 0), ['figure', *[r.title for r in runs + [Run(b) for b in s.nats[:1]]],
                                                                               'ours of sendfile\'s', 'ratio to Kafka'])
    row('MB/s', *['%.0f' % (v or 0) for v in m], *nats, '%.0f %%' % ((m[0] or 0) / top * 100) if top else '',
        over(m[0], m[1]) if s.kafka else '')
    s.bar('cached backlog, of what sendfile alone moves', 'at least 70 %', '%.0f %%' % ((m[0] or 0) / top * 100) if top else '-')
    row('broker CPU s per GB', *['%.3f' % (median(c) or 0) for c in cpu], *[''] * len(nats), '', over(*map(median, cpu)) if s.kafka else '')


# ---------------------------------------------------------------- memory

def many_loads(b, name):
    """Four producers at once."""
    forget_peak(b.pid)
    loads = [subprocess.Popen([os.path.join(DATA, 'broker_load'), 'produce', b.address, name, str(SECONDS), '1000', 'all'],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
    for p in loads:
        p.wait()
    return memory_of(b.pid, 'VmHWM')


def memory(s):
    head('Memory', 'Resident MB. Bars: idle under 15, with 10,000 partitions under 150, under load within the budget (`request_bytes_max`, 256 MiB, '
         'and what answers hold). Kafka has a heap of 1 GiB.', ['figure', *[b.title for b in s.brokers], *[b.title for b in s.nats[:1]]])
    row('idle, just started', *['%.1f' % s.idle[b.name] for b in s.brokers + s.nats[:1]])
    peak = []
    for b in s.brokers:
        b.topic('mem', 16, GONE_AT_ONCE)
        rest()
        peak.append('%.0f' % many_loads(b, 'mem'))
        b.drop('mem')
    row('most while four producers go (1 KB, acks=all, 16 partitions)', *peak, *[''] * len(s.nats[:1]))
    s.bar('resident, idle / under load', 'under 15 MB / within the budget, 256 MiB', '%.1f / %s MB' % (s.idle['millrace'], peak[0]))
    row('after all loads so far', *['%.0f' % memory_of(b.pid) for b in s.brokers + s.nats[:1]])
    one = Millrace('many')
    one.wipe()
    one.start()
    try:
        import broker_start
        with broker_start.socket.create_connection(('127.0.0.1', one.port), 60) as sock:
            broker_start.create(sock, 10000)
            made = memory_of(one.pid)
            broker_start.produce(sock, 10000, broker_start.record_batch())
        wrote = memory_of(one.pid)
        files = len(os.listdir('/proc/%d/fd' % one.pid))
        time.sleep(5)
        s.bar('resident, 10,000 partitions each written once', 'under 150 MB', '%.0f MB' % max(wrote, memory_of(one.pid)))
        row('10,000 partitions: made / each written once / 5 s later',
            '%.0f / %.0f (%d files) / %.0f' % (made, wrote, files, memory_of(one.pid)), *[''] * (len(s.brokers) - 1 + len(s.nats[:1])))
    finally:
        one.stop()
        one.wipe_data()


# ---------------------------------------------------------------- groups

def rebalance(s):
    head('Rebalance', '100 members (raw clients, 100 connections of one process; JoinGroup, SyncGroup, heartbeats each 100 ms, range assignment by the '
         'leading member) on 1,000 partitions: seconds until all have their assignment, every partition given once. The first '
         'forming waits for group.initial.rebalance.delay.ms, 3,000 in both, and once more for members that came meanwhile. Bar: under 1 s.',
         ['figure', *[b.title for b in s.brokers], 'ratio to Kafka'])
    got = []
    for b in s.brokers:
        b.topic('wide', 1000)
        got.append(load('broker_raw', 'group', '127.0.0.1', b.port, 'g%d' % time.monotonic_ns(), 'wide', 1000, 100, 7, 100))
    if got[0]:
        s.bar('rebalance of 100 members, 1,000 partitions (the most of 14)', 'under 1 s', '%.3f s' % max(got[0]['leave_max'], got[0]['join_max']))
    for title, keys in (('a member leaves: median / most of 7', ('leave', 'leave_max')), ('a member comes: median / most of 7', ('join', 'join_max')),
                        ('of that, from the last JoinGroup on', ('own', 'own_max')), ('the group forms, all at once', ('form',))):
        row(title, *[' / '.join('%.3f' % g[k] for k in keys) if g else '-' for g in got],
            over(got[0][keys[0]], got[1][keys[0]]) if len(got) > 1 and all(got) else '')


# ---------------------------------------------------------------- starting

def start(s):
    head('Start to ready, 1,000 partitions and 5 GB', 'Seconds until ApiVersions is answered / until ListOffsets has been answered for every partition. '
         'Bars: under 0.3 s after a clean stop, under 2 s after kill -9.', ['figure', *[b.title for b in s.brokers], 'ratio to Kafka'])
    for b in s.brokers:
        b.topic('many', 1000)
        load('broker_load', 'fill', b.address, 'many', 5000000, 1000)
    for title, how in (('after a clean stop', signal.SIGTERM), ('after kill -9, just written to', signal.SIGKILL)):
        got = []
        for b in s.brokers:
            if how == signal.SIGKILL:
                load('broker_load', 'fill', b.address, 'many', 500000, 1000)
            b.stop(how)
            t0 = time.monotonic()
            ready = b.start()
            while not all_open(b.port, 'many', 1000):
                time.sleep(0.005)
            got.append((ready, time.monotonic() - t0))
        s.bar('start with 1,000 partitions and 5 GB, ' + title, 'under 0.3 s' if how == signal.SIGTERM else 'under 2 s',
              '%.3f s; every partition answers after %.3f s' % got[0])
        row(title, *['%.3f / %.3f' % g for g in got], over(got[0][0], got[1][0]) if len(got) > 1 else '')


# ---------------------------------------------------------------- all of it

PARTS = {'produce': produce, 'latency': latency, 'sync': sync, 'fetch': fetch, 'memory': memory, 'rebalance': rebalance, 'start': start}


class Session:
    """The servers of one run, and what they held when they had just started."""

    def __init__(self, reps):
        self.reps, self.idle, self.bars = reps, {}, []
        self.brokers, self.kafka, self.nats = [Millrace()], None, []
        if have_kafka():
            self.kafka = Kafka()
            self.brokers.append(self.kafka)
        else:
            say('Apache Kafka could not be had (java and mvn are needed)')
        found = nats_server()
        if found:
            self.nats.append(Nats(*found))
            if found[1] >= '2.10':
                self.nats.append(Nats(*found, sync='always'))
        else:
            say('nats-server could not be had (go, or Debian\'s nats-server, is needed)')

    def bar(self, figure, bar, measured):
        self.bars.append((figure, bar, measured))

    def __enter__(self):
        try:
            for b in self.brokers + self.nats:
                b.wipe()
                say('%s: first answer after %.3f s' % (b.title, b.start()))
            time.sleep(3)
            self.idle = {b.name: memory_of(b.pid) for b in self.brokers + self.nats}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        for b in self.brokers + self.nats:
            b.stop()
            if not any(error):  # the log stays; gigabytes need not
                b.wipe_data()


def bench(which=tuple(PARTS), reps=2):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    build()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended by SIGTERM'))  # the servers are ended too
    began = time.monotonic()
    print('## The broker: `./dev bench broker`, %s, load average before %.2f, %d cores'
          % (time.strftime('%Y-%m-%d %H:%M'), os.getloadavg()[0], os.cpu_count()))
    with Session(reps) as s:
        for part in which:
            t0 = time.monotonic()
            PARTS[part](s)
            say('%s took %.0f s' % (part, time.monotonic() - t0))
    head('Bars', 'What is aimed at, and what the tables above say; load average at the end %.2f.' % os.getloadavg()[0],
         ['figure', 'bar', 'measured'])
    for b in s.bars:
        row(*b)
    say('all of it took %.0f s' % (time.monotonic() - began))


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument('parts', nargs='*', choices=[*PARTS, []], default=[])
    parse.add_argument('--reps', type=int, default=2)
    a = parse.parse_args()
    bench(a.parts or tuple(PARTS), a.reps)


if __name__ == '__main__':
    main()
