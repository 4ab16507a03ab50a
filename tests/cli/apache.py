"""apache.py - one node of Apache Kafka (KRaft) for tests, from jars that are there already.

They come from `./dev bench broker`, into $BENCH_DATA/kafka/lib. Nothing is fetched here.
"""
import contextlib
import glob
import os
import socket
import subprocess

from mill import free_port, have, until

PROPERTIES = '''process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%(controller)d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL
listeners=PLAINTEXT://127.0.0.1:%(plain)d,CONTROLLER://127.0.0.1:%(controller)d,SASL://127.0.0.1:%(sasl)d,TLS://127.0.0.1:%(tls)d
advertised.listeners=PLAINTEXT://127.0.0.1:%(plain)d,SASL://127.0.0.1:%(sasl)d,TLS://127.0.0.1:%(tls)d
sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_anna="secret" user_bob="secret";
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location=%(dir)s/broker.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:anna
log.dirs=%(dir)s/kafka-data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
transaction.partition.verification.enable=false
group.initial.rebalance.delay.ms=0
'''


def jars():
    """What `java -cp` wants; None: there are none."""
    for data in [os.environ.get('BENCH_DATA', '/tmp/millrace-bench'), *sorted(glob.glob('/tmp/*'))]:
        if glob.glob(os.path.join(data, 'kafka', 'lib', 'kafka_2.13-*.jar')):
            return os.path.join(data, 'kafka', 'lib', '*')
    return None


def missing():
    """What is not there; '': all is."""
    return ', '.join(what for what, there in (('java', have('java')), ('openssl', have('openssl')),
                                              ('the jars of `./dev bench broker`', jars())) if not there)


def certificate(d):
    """An authority, another one, and a key that the first has signed for 127.0.0.1: PEM, as Kafka and OpenSSL read it."""
    def make(*args):
        subprocess.run(['openssl', *args], cwd=d, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    new = ('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2')
    make(*new, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem')
    make(*new, '-subj', '/CN=other', '-keyout', 'other.key', '-out', 'other.pem')
    make(*new, '-subj', '/CN=broker', '-addext', 'subjectAltName=IP:127.0.0.1', '-CA', 'ca.pem', '-CAkey', 'ca.key',
         '-keyout', 'broker.key', '-out', 'broker.crt')
    with open(os.path.join(d, 'broker.pem'), 'w') as f:
        for part in ('broker.key', 'broker.crt'):
            f.write(open(os.path.join(d, part)).read())


def answers(port):
    """Does it answer ApiVersions?"""
    try:
        with socket.create_connection(('127.0.0.1', port), 0.5) as s:
            s.sendall(bytes.fromhex('0000000c' '0012' '0000' '00000007' '0002' '6262'))
            s.settimeout(2)
            return len(s.recv(64)) > 8
    except OSError:
        return False


@contextlib.contextmanager
def running(d):
    """Runs a node in the folder; yields its ports: plain, sasl, tls."""
    ports = {name: free_port() for name in ('plain', 'controller', 'sasl', 'tls')}
    conf, log = os.path.join(d, 'server.properties'), os.path.join(d, 'kafka.log')
    certificate(d)
    with open(conf, 'w') as f:
        f.write(PROPERTIES % {**ports, 'dir': d})
    tool = ['java', '-cp', jars(), 'kafka.tools.StorageTool']
    uid = subprocess.run([*tool, 'random-uuid'], capture_output=True, text=True).stdout.split()[-1]
    subprocess.run([*tool, 'format', '-t', uid, '-c', conf], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(log, 'wb') as out:
        p = subprocess.Popen(['java', '-Xmx384m', '-cp', jars(), 'kafka.Kafka', conf], stdout=out, stderr=out)
    try:
        if not until(lambda: p.poll() is not None or answers(ports['plain'])) or p.poll() is not None:
            raise RuntimeError('Apache Kafka did not start:\n' + open(log, errors='replace').read()[-3000:])
        yield ports
    finally:
        p.terminate()
        p.wait()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def leave_hanging(port, topic, producer, now_ms):
    """Writes one record of a transaction that no coordinator knows of; the error code of the broker."""
    def number(n, size):
        return n.to_bytes(size, 'big', signed=True)

    def text(t):
        return number(len(t), 2) + t.encode()
    record = b'\0' b'\0' b'\0' b'\1' b'\x0aghost' b'\0'  # attributes, time, offset; no key; five bytes; no headers
    after = (number(0x10, 2) + number(0, 4) + number(now_ms, 8) * 2 + number(producer, 8) + number(0, 2) + number(0, 4) +
             number(1, 4) + bytes([2 * len(record)]) + record)
    crc = crc32c(after).to_bytes(4, 'big')
    batch = number(0, 8) + number(4 + 1 + 4 + len(after), 4) + number(-1, 4) + b'\2' + crc + after
    body = (text('ghost') + number(-1, 2) + number(5000, 4) + number(1, 4) + text(topic) + number(1, 4) + number(0, 4) +
            number(len(batch), 4) + batch)
    frame = number(0, 2) + number(7, 2) + number(1, 4) + text('test') + body  # Produce, version 7
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        s.sendall(number(len(frame), 4) + frame)
        got = s.recv(4096)
    return int.from_bytes(got[4 + 4 + 4 + 2 + len(topic) + 4 + 4:][:2], 'big', signed=True)
