#!/usr/bin/env python3
"""broker.py - millrace's log beside Apache Kafka (KRaft, one node) and, where it says so, the limits of this machine.

    bench.py broker [--reps N]     all of it;   broker.py PART...: produce latency fetch start memory

The same client (broker_load.c, librdkafka), the same disk, both brokers running side by side, loads in turn. Kafka comes
from Maven Central (needs java and mvn; into $BENCH_DATA/kafka); without it our own figures are printed alone. CPU is the
broker's, from /proc. Nothing here judges: it prints.
"""
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
DATA = os.environ.get('BENCH_DATA', '/tmp/millrace-bench')
MILLRACE = os.environ.get('MILLRACE', os.path.join(ROOT, 'build', 'millrace'))
LOAD = os.path.join(DATA, 'broker_load')
KAFKA_VERSION = '4.1.0'
POM = '''<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>bench</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>''' % KAFKA_VERSION


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def answers(port):
    """Does it answer ApiVersions?"""
    try:
        with socket.create_connection(('127.0.0.1', port), 0.5) as s:
            s.sendall(bytes.fromhex('0000000c' '0012' '0000' '00000007' '0002' '6262'))
            s.settimeout(2)
            return len(s.recv(64)) > 8
    except OSError:
        return False


def cpu_of(pid):
    with open('/proc/%d/stat' % pid) as f:
        s = f.read().rsplit(')', 1)[1].split()
    return (int(s[11]) + int(s[12])) / os.sysconf('SC_CLK_TCK')


def rss_of(pid):
    with open('/proc/%d/status' % pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith('VmRSS')) / 1024


class Broker:
    def __init__(self, name):
        self.name, self.port, self.dir = name, free_port(), os.path.join(DATA, 'broker-' + name)
        self.p = None

    def wipe(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

    def start(self):
        """Seconds until it answers."""
        t0 = time.monotonic()
        self.p = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.dir, 'log'), 'ab'))
        while not answers(self.port):
            if self.p.poll() is not None or time.monotonic() - t0 > 120:
                sys.exit('%s did not start: see %s/log' % (self.name, self.dir))
            time.sleep(0.002)
        return time.monotonic() - t0

    def stop(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        self.p.wait()

    def topic(self, name, partitions, configs=None):
        """Made through librdkafka's admin client in Python where it is there, else by kafka-python; else by our raw frame."""
        create_topic(self.port, name, partitions, configs or {})


class Millrace(Broker):
    def command(self):
        return [MILLRACE, 'serve', '--data', os.path.join(self.dir, 'data'), '--listen', '127.0.0.1:%d' % self.port]


class Kafka(Broker):
    def __init__(self, name='kafka', extra=''):
        super().__init__(name)
        self.extra, self.controller = extra, free_port()

    def wipe(self):
        super().wipe()
        with open(self.dir + '/server.properties', 'w') as f:
            f.write('''process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%d
listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
advertised.listeners=PLAINTEXT://127.0.0.1:%d
controller.listener.names=CONTROLLER
log.dirs=%s/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
%s
''' % (self.controller, self.port, self.controller, self.port, self.dir, self.extra))
        java = ['java', '-cp', jars()]
        uid = subprocess.run([*java, 'kafka.tools.StorageTool', 'random-uuid'], capture_output=True, text=True).stdout.split()[-1]
        subprocess.run([*java, 'kafka.tools.StorageTool', 'format', '-t', uid, '-c', self.dir + '/server.properties'],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def command(self):
        return ['java', '-Xmx1g', '-Xms1g', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-cp', jars(), 'kafka.Kafka',
                self.dir + '/server.properties']


def jars():
    return os.path.join(DATA, 'kafka', 'lib') + '/*'


def have_kafka():
    lib = os.path.join(DATA, 'kafka', 'lib')
    if not (shutil.which('java') and (os.path.isdir(lib) or shutil.which('mvn'))):
        return False
    if not os.path.isdir(lib):
        os.makedirs(os.path.dirname(lib), exist_ok=True)
        with open(os.path.join(DATA, 'kafka', 'pom.xml'), 'w') as f:
            f.write(POM)
        if subprocess.run(['mvn', '-q', '-B', '-f', os.path.join(DATA, 'kafka', 'pom.xml'), 'dependency:copy-dependencies',
                           '-DoutputDirectory=' + lib], stdout=subprocess.DEVNULL).returncode:
            shutil.rmtree(lib, ignore_errors=True)
            return False
    return True


def create_topic(port, name, partitions, configs):
    """CreateTopics version 2, written by hand: no client library is needed for it."""
    def text(t):
        return len(t).to_bytes(2, 'big') + t.encode()
    body = (1).to_bytes(4, 'big') + text(name) + partitions.to_bytes(4, 'big') + (1).to_bytes(2, 'big') + (0).to_bytes(4, 'big')
    body += len(configs).to_bytes(4, 'big') + b''.join(text(k) + text(v) for k, v in configs.items())
    body += (30000).to_bytes(4, 'big') + b'\0'
    frame = (19).to_bytes(2, 'big') + (2).to_bytes(2, 'big') + (1).to_bytes(4, 'big') + text('bench') + body
    with socket.create_connection(('127.0.0.1', port), 60) as s:
        s.sendall(len(frame).to_bytes(4, 'big') + frame)
        got = b''
        while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:4], 'big'):
            more = s.recv(65536)
            if not more:
                break
            got += more
    at = 4 + 4 + 4 + 4 + 2 + len(name)
    error = int.from_bytes(got[at:at + 2], 'big', signed=True)
    if error not in (0, 36):
        sys.exit('creating topic %s on port %d: error %d' % (name, port, error))


def load(*args, timeout=300):
    p = subprocess.run([LOAD, *map(str, args)], capture_output=True, text=True, timeout=timeout)
    if p.returncode:
        sys.exit('broker_load %s: %s' % (' '.join(map(str, args)), p.stderr))
    return json.loads(p.stdout)


def build_load():
    os.makedirs(DATA, exist_ok=True)
    subprocess.run(['gcc', '-O2', '-std=c11', '-D_GNU_SOURCE', os.path.join(ROOT, 'tests/bench/broker_load.c'), '-o', LOAD,
                    '-lrdkafka', '-lpthread'], check=True)


def row(title, ours, kafka, unit, better=None):
    text = '%-46s %12s' % (title, ours)
    if kafka is not None:
        text += ' %12s' % kafka
    print(text + '  ' + unit + ('' if better is None else '   %.2f' % better), flush=True)


def produce(brokers, reps):
    """Records per broker CPU second, and records a second; the client shares the two cores."""
    print('\nproduce: the same librdkafka client; ratio is ours over Kafka\'s')
    for size, n in ((100, 2000000), (1000, 400000)):
        for acks in ('1', 'all'):
            for partitions in (1, 16):
                per_cpu, rate = {}, {}
                for b in brokers:
                    b.topic('p%d-%d' % (size, partitions), partitions)
                for _ in range(reps):
                    for b in brokers:
                        c = cpu_of(b.p.pid)
                        r = load('produce', '127.0.0.1:%d' % b.port, 'p%d-%d' % (size, partitions), n, size, acks)
                        if r['failed']:
                            print('# %s: %d records failed' % (b.name, r['failed']))
                        cpu = max(cpu_of(b.p.pid) - c, 0.01)
                        per_cpu.setdefault(b.name, []).append(r['records'] / cpu)
                        rate.setdefault(b.name, []).append(r['rate'])
                m = [statistics.median(per_cpu[b.name]) for b in brokers]
                q = [statistics.median(rate[b.name]) for b in brokers]
                title = '%d B, acks=%s, %d partition%s' % (size, acks, partitions, '' if partitions == 1 else 's')
                row(title + ', per broker CPU s', '%.0f' % m[0], '%.0f' % m[1] if len(m) > 1 else None, 'records', m[0] / m[1] if len(m) > 1 else None)
                row(title + ', a second', '%.0f' % q[0], '%.0f' % q[1] if len(q) > 1 else None, 'records', q[0] / q[1] if len(q) > 1 else None)


def latency(brokers, reps):
    print('\nlatency, produce to consume, 100 B, acks=1 and all')
    for b in brokers:
        b.topic('lat', 1)
    for acks in ('1', 'all'):
        for rate in (1000, 50000):
            got = {b.name: [] for b in brokers}
            for _ in range(reps):
                for b in brokers:
                    r = load('latency', '127.0.0.1:%d' % b.port, 'lat', rate, 5, 100, acks)
                    got[b.name].append((r['p50'], r['p99'], r['p999'], r['sent'] - r['read']))
            m = [tuple(statistics.median(x[i] for x in got[b.name]) for i in range(4)) for b in brokers]
            show = ['%.2f/%.2f/%.2f' % x[:3] for x in m]
            row('acks=%s, %d a second, p50/p99/p99.9' % (acks, rate), show[0], show[1] if len(show) > 1 else None, 'ms',
                m[0][1] / m[1][1] if len(m) > 1 else None)
            if any(x[3] for x in m):
                print('# not read: %s' % [x[3] for x in m])


def fetch(brokers, reps):
    print('\nconsume a cached backlog by a raw fetch client')
    big = os.path.join(DATA, 'sendfile.bin')
    if not os.path.exists(big):
        with open(big, 'wb') as f:
            f.truncate(0)
            for _ in range(1024):
                f.write(os.urandom(1 << 20))
    for b in brokers:
        b.topic('backlog', 1)
        load('produce', '127.0.0.1:%d' % b.port, 'backlog', 1000000, 1000, '1')
    limit, got, cpu = [], {b.name: [] for b in brokers}, {b.name: [] for b in brokers}
    for _ in range(reps + 2):
        limit.append(load('sendfile', big)['mb_s'])
        for b in brokers:
            c = cpu_of(b.p.pid)
            r = load('fetch', '127.0.0.1', b.port, 'backlog', 0)
            cpu[b.name].append((cpu_of(b.p.pid) - c) / (r['bytes'] / 1e9))
            got[b.name].append(r['mb_s'])
    m = [statistics.median(got[b.name]) for b in brokers]
    c = [statistics.median(cpu[b.name]) for b in brokers]
    top = statistics.median(limit)
    row('throughput', '%.0f' % m[0], '%.0f' % m[1] if len(m) > 1 else None, 'MB/s', m[0] / m[1] if len(m) > 1 else None)
    row('broker CPU s per GB', '%.3f' % c[0], '%.3f' % c[1] if len(c) > 1 else None, '')
    print('%-46s %12.0f  MB/s; ours is %.0f %% of it' % ('sendfile alone', top, m[0] / top * 100))


def start(brokers, reps):
    print('\nstart to first answer, 1,000 partitions')
    for b in brokers:
        b.topic('many', 1000)
        load('produce', '127.0.0.1:%d' % b.port, 'many', 500000, 1000, '1')
    for title, how in (('after a clean stop', signal.SIGTERM), ('after kill -9', signal.SIGKILL)):
        got = []
        for b in brokers:
            b.stop(how)
            got.append(b.start())
        row(title, '%.3f' % got[0], '%.3f' % got[1] if len(got) > 1 else None, 's', got[0] / got[1] if len(got) > 1 else None)


def memory(brokers, reps):
    print('\nresident memory')
    got = ['%.1f' % rss_of(b.p.pid) for b in brokers]
    row('after the loads above', got[0], got[1] if len(got) > 1 else None, 'MB')


def bench(parts=('produce', 'latency', 'fetch', 'memory', 'start'), reps=3):
    build_load()
    brokers = [Millrace('millrace')]
    if have_kafka():
        brokers.append(Kafka())
    else:
        print('# Apache Kafka could not be had (java and mvn are needed): our figures alone')
    print('%-46s' % '' + ''.join(' %12s' % (b.name + (' ' + KAFKA_VERSION if b.name == 'kafka' else '')) for b in brokers))
    try:
        for b in brokers:
            b.wipe()
            took = b.start()
            time.sleep(3)
            print('%-10s start to first answer %.3f s, idle %.1f MB' % (b.name, took, rss_of(b.p.pid)))
        for part in parts:
            {'produce': produce, 'latency': latency, 'fetch': fetch, 'start': start, 'memory': memory}[part](brokers, reps)
    finally:
        for b in brokers:
            if b.p and b.p.poll() is None:
                b.stop()


if __name__ == '__main__':
    bench(sys.argv[1:] or ('produce', 'latency', 'fetch', 'memory', 'start'))
