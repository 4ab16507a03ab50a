"""broker_servers.py - the servers that broker.py compares, each in its own folder and on its own port of 127.0.0.1.

Kafka comes from Maven Central (java, mvn), a nats-server that knows `sync_interval: always` from Go's proxy (go), else
Debian's; what cannot be had is left out of the tables, and said. Requests by hand where no client is needed.
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
DATA = os.environ.get('BENCH_DATA', '/tmp/millrace-bench')
MILLRACE = os.environ.get('MILLRACE', os.path.join(ROOT, 'build', 'millrace'))
KAFKA_VERSION, NATS_VERSION = '4.1.0', '2.12.0'
POM = '''<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>bench</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>''' % KAFKA_VERSION


def say(text):
    print('# ' + text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def cpu_of(pid):
    with open('/proc/%d/stat' % pid) as f:
        s = f.read().rsplit(')', 1)[1].split()
    return (int(s[11]) + int(s[12])) / os.sysconf('SC_CLK_TCK')


def memory_of(pid, what='VmRSS'):
    """Resident MB; VmHWM: the most since forget_peak."""
    with open('/proc/%d/status' % pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith(what)) / 1024


def forget_peak(pid):
    with open('/proc/%d/clear_refs' % pid, 'w') as f:
        f.write('5')


# ---------------------------------------------------------------- Kafka's protocol, the little that is needed

def text(s):
    return struct.pack('>h', len(s)) + s.encode()


def take(sock, n):
    out = b''
    while len(out) < n:
        got = sock.recv(n - len(out))
        if not got:
            raise OSError('the broker closed the connection')
        out += got
    return out


def ask(port, api, version, body):
    frame = struct.pack('>hhi', api, version, 1) + text('bench') + body
    with socket.create_connection(('127.0.0.1', port), 60) as s:
        s.sendall(struct.pack('>i', len(frame)) + frame)
        return take(s, struct.unpack('>i', take(s, 4))[0])[4:]


def answers(port):
    """Does it answer ApiVersions?"""
    try:
        with socket.create_connection(('127.0.0.1', port), 0.5) as s:
            s.sendall(bytes.fromhex('0000000c' '0012' '0000' '00000007' '0002' '6262'))
            s.settimeout(2)
            return len(s.recv(64)) > 8
    except OSError:
        return False


def create_topic(port, name, partitions, configs):
    body = struct.pack('>i', 1) + text(name) + struct.pack('>ihi', partitions, 1, 0) + struct.pack('>i', len(configs))
    body += b''.join(text(k) + text(v) for k, v in configs.items()) + struct.pack('>ib', 60000, 0)
    error = struct.unpack('>h', ask(port, 19, 2, body)[10 + len(name):][:2])[0]
    if error not in (0, 36):
        sys.exit('creating topic %s on port %d: error %d' % (name, port, error))


def delete_topic(port, name):
    ask(port, 20, 1, struct.pack('>i', 1) + text(name) + struct.pack('>i', 60000))


def all_open(port, name, partitions):
    """Whether ListOffsets knows the end of every partition."""
    body = struct.pack('>ii', -1, 1) + text(name) + struct.pack('>i', partitions)
    body += b''.join(struct.pack('>iq', i, -1) for i in range(partitions))
    try:
        got = ask(port, 2, 1, body)[4 + 2 + len(name) + 4:]
    except OSError:
        return False
    return all(got[i * 22 + 4:i * 22 + 6] == b'\0\0' for i in range(partitions))


# ---------------------------------------------------------------- servers

class Server:
    def __init__(self, name, title):
        self.name, self.title, self.port = name, title, free_port()
        self.dir = os.path.join(DATA, 'broker-' + name)
        self.p = None

    def wipe(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

    def wipe_data(self):
        shutil.rmtree(os.path.join(self.dir, 'data'), ignore_errors=True)

    def start(self):
        """Seconds until it answers."""
        t0 = time.monotonic()
        with open(os.path.join(self.dir, 'log'), 'ab') as log:
            self.p = subprocess.Popen(self.command(), stdout=log, stderr=log)
        while not self.ready():
            if self.p.poll() is not None or time.monotonic() - t0 > 300:
                sys.exit('%s did not start: see %s/log' % (self.name, self.dir))
            time.sleep(0.002)
        return time.monotonic() - t0

    def ready(self):
        return answers(self.port)

    def stop(self, how=signal.SIGTERM):
        if self.p and self.p.poll() is None:
            self.p.send_signal(how)
            self.p.wait()

    @property
    def address(self):
        return '127.0.0.1:%d' % self.port

    @property
    def pid(self):
        return self.p.pid

    def cpu(self):
        return cpu_of(self.p.pid)

    def topic(self, name, partitions, configs=None):
        create_topic(self.port, name, partitions, configs or {})

    def drop(self, name):
        delete_topic(self.port, name)


class Millrace(Server):
    kafka = True

    def __init__(self, name='millrace'):
        super().__init__(name, 'millrace')

    def command(self):
        return [MILLRACE, 'serve', '--data', os.path.join(self.dir, 'data'), '--listen', self.address]


class Kafka(Server):
    kafka = True

    def __init__(self, name='kafka'):
        super().__init__(name, 'Kafka ' + KAFKA_VERSION)
        self.controller = free_port()

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
''' % (self.controller, self.port, self.controller, self.port, self.dir))
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
        say('fetching Apache Kafka ' + KAFKA_VERSION)
        os.makedirs(os.path.dirname(lib), exist_ok=True)
        with open(os.path.join(DATA, 'kafka', 'pom.xml'), 'w') as f:
            f.write(POM)
        if subprocess.run(['mvn', '-q', '-B', '-f', os.path.join(DATA, 'kafka', 'pom.xml'), 'dependency:copy-dependencies',
                           '-DoutputDirectory=' + lib], stdout=subprocess.DEVNULL).returncode:
            shutil.rmtree(lib, ignore_errors=True)
            return False
    return True


class Nats(Server):
    kafka = False

    def __init__(self, program, version, sync=None):
        super().__init__('nats' + ('-' + sync if sync else ''), 'nats-server %s%s' % (version, ', sync: ' + sync if sync else ''))
        self.program, self.sync = program, sync

    def wipe(self):
        super().wipe()
        with open(self.dir + '/conf', 'w') as f:
            f.write('listen: "%s"\njetstream { store_dir: "%s/data"%s }\n'
                    % (self.address, self.dir, ', sync_interval: ' + self.sync if self.sync else ''))

    def command(self):
        return [self.program, '-c', self.dir + '/conf']

    def ready(self):
        try:
            with socket.create_connection(('127.0.0.1', self.port), 0.5) as s:
                s.settimeout(2)
                s.sendall(b'CONNECT {"verbose":false}\r\nSUB a 1\r\nPUB $JS.API.INFO a 0\r\n\r\n')
                got = b''
                while b'"type"' not in got:
                    more = s.recv(65536)
                    if not more or b'no responders' in got:
                        return False
                    got += more
                return True
        except OSError:
            return False

    def drop(self, name):
        pass


def nats_server():
    """(program, version), or None. A newer one than Debian's, since that cannot sync before it acknowledges."""
    own = os.path.join(DATA, 'nats', 'nats-server')
    if not os.path.exists(own) and shutil.which('go'):
        say('fetching nats-server ' + NATS_VERSION)
        subprocess.run(['go', 'install', 'github.com/nats-io/nats-server/v2@v' + NATS_VERSION],
                       env=dict(os.environ, GOBIN=os.path.dirname(own)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    program = own if os.path.exists(own) else shutil.which('nats-server') or '/usr/sbin/nats-server'
    if not os.path.exists(program):
        return None
    version = subprocess.run([program, '--version'], capture_output=True, text=True).stdout.split('v')[-1].strip()
    return program, version
