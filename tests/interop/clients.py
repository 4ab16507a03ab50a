"""clients.py - the Kafka clients that are tried, and how each of them gets here.

What is fetched lies in $MR_INTEROP_CACHE (~/.cache/millrace-interop), whole or not at all. A toolchain that is not
installed, or a registry that does not answer, is a Missing: its clients are skipped by name. A program of ours that
does not compile is no Missing.
"""
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get('MR_INTEROP_CACHE') or os.path.expanduser('~/.cache/millrace-interop')
FETCH_S = 600


class Missing(Exception):
    """A toolchain, a registry or the time is not there."""


class Budget:
    """Seconds that all clients have together; None: as many as they take."""
    def __init__(self, seconds):
        self.seconds, self.start = seconds, time.monotonic()

    def left(self):
        return float('inf') if self.seconds is None else self.start + self.seconds - time.monotonic()


budget = Budget(None)
silent = set()  # registries that let us wait in vain: they are not asked again
locks, locks_lock = {}, threading.Lock()


def lock(name):
    """One at a time fills a folder, or asks a registry: their programs share what they have fetched."""
    with locks_lock:
        return locks.setdefault(name, threading.Lock())


def ended(args, seconds, **more):
    """Runs a program with all that it starts: (exit code or None when it took longer, stdout, stderr)."""
    p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **more)
    try:
        out, err = p.communicate(timeout=seconds)
        return p.returncode, out, err
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        return None, out, err
    except BaseException:
        os.killpg(p.pid, signal.SIGKILL)
        raise


def need(program):
    path = shutil.which(program)
    if not path:
        raise Missing('%s is not installed' % program)
    return path


def cached(name, make):
    """The folder of that name in the cache; make(folder) fills it the first time."""
    path = os.path.join(CACHE, name)
    with lock(path):
        if not os.path.exists(os.path.join(path, '.whole')):
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            make(path)
            open(os.path.join(path, '.whole'), 'w').close()
    return path


def fetch(what, registry, args, cwd=None, env=None):
    with lock(registry):
        fetch_alone(what, registry, args, cwd, env)


def fetch_alone(what, registry, args, cwd, env):
    if budget.left() <= 0:
        raise Missing('the time was used up before %s was fetched' % what)
    if registry in silent:
        raise Missing('%s could not be fetched: %s did not answer before' % (what, registry))
    try:
        code, out, err = ended(args, min(FETCH_S, budget.left()), cwd=cwd, env={**os.environ, **(env or {})})
    except OSError as why:
        raise Missing('%s could not be fetched: %s' % (what, why)) from why
    if code is None:
        silent.add(registry)
        raise Missing('%s could not be fetched in time from %s' % (what, registry))
    if code:
        lines = (err + out).decode(errors='replace').strip().split('\n')
        raise Missing('%s could not be fetched: %s' % (what, lines[-1][-300:]))


def source(name):
    return os.path.join(HERE, name)


def kcat():
    need('kcat')
    return [sys.executable, source('kcat_client.py')]


def debian_kafka():
    try:
        subprocess.run(['/usr/bin/python3', '-c', 'import kafka'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as why:
        raise Missing('python3-kafka is not installed') from why
    return ['/usr/bin/python3', source('kafka_python.py')]


def wheel(program, *packages):
    def make(d):
        fetch('a Python environment', 'venv', [sys.executable, '-m', 'venv', d])
        fetch(packages[0], 'the Python registry', [os.path.join(d, 'bin', 'pip'), 'install', '-q', *packages])
    return lambda: [os.path.join(cached('python-' + packages[0], make), 'bin', 'python'), source(program)]


POM = '''<project><modelVersion>4.0.0</modelVersion><groupId>interop</groupId><artifactId>interop</artifactId>
<version>1</version><dependencies>%s</dependencies></project>
'''
DEPENDENCY = '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n'
# some projects name repositories of their own; all that is asked for lies in the central one
MAVEN = '''<settings><mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf>
<url>https://repo.maven.apache.org/maven2</url></mirror></mirrors></settings>
'''


def jars(*artefacts):
    """A class path of Maven artefacts, each group:name:version, and of what they need."""
    def make(d):
        for name, text in (('pom.xml', POM % ''.join(DEPENDENCY % tuple(a.split(':')) for a in artefacts)), ('maven.xml', MAVEN)):
            with open(os.path.join(d, name), 'w') as f:
                f.write(text)
        fetch(artefacts[0], 'the Maven repository', [
            need('mvn'), '-q', '-B', '-s', os.path.join(d, 'maven.xml'), '-f', os.path.join(d, 'pom.xml'),
            '-DoutputDirectory=' + os.path.join(d, 'lib'),
            'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'])
    return os.path.join(cached('java-' + '-'.join(artefacts[0].split(':')[1:]), make), 'lib', '*')


# Spark and Flink look into Java's own classes
OPEN = ['--add-opens=java.base/%s=ALL-UNNAMED' % m for m in (
    'java.util', 'java.util.concurrent', 'java.util.concurrent.atomic', 'java.lang', 'java.lang.invoke', 'java.lang.reflect',
    'java.nio', 'java.net', 'java.io', 'sun.nio.ch', 'sun.nio.cs', 'sun.security.action', 'sun.util.calendar')]
SILENT = 'org.slf4j:slf4j-nop:1.7.36'


def java(program, *artefacts):
    def command():
        need('javac')
        lib = jars(*artefacts)
        out = os.path.join(CACHE, 'classes-%s-%s' % (program, artefacts[0].split(':')[2]))
        code, _, err = ended(['javac', '-nowarn', '-Xlint:none', '-cp', lib, '-d', out, source(program + '.java')], 300)
        if code != 0:
            raise RuntimeError('%s.java does not compile: %s' % (program, err.decode(errors='replace')))
        return ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', *OPEN, '-cp', out + ':' + lib, program]
    return command


def java_client(version):
    return java('Client', 'org.apache.kafka:kafka-clients:' + version, SILENT)


def streams(version):
    return java('Streams', 'org.apache.kafka:kafka-streams:' + version, SILENT)


def go(name, folder_name, change, tags=''):
    """Built in the cache, so that no go.sum and no module lies in our tree."""
    def command():
        d = os.path.join(CACHE, 'go-' + name)
        shutil.rmtree(d, ignore_errors=True)
        shutil.copytree(source(folder_name), d)
        with open(os.path.join(d, 'go.mod'), 'w') as f:
            f.write('module interop\n\ngo 1.25\n\n' + '\n'.join(change) + '\n')
        env = {'GOPATH': os.path.join(CACHE, 'gopath'), 'GOFLAGS': '-modcacherw', 'GOTOOLCHAIN': 'local'}
        fetch(name, 'the Go proxy', [need('go'), 'mod', 'tidy'], cwd=d, env=env)
        code, _, err = ended(['go', 'build', '-tags', tags, '-o', 'client', '.'], 300, cwd=d, env={**os.environ, **env})
        if code != 0:
            raise RuntimeError('%s does not build: %s' % (folder_name, err.decode(errors='replace')))
        return [os.path.join(d, 'client')]
    return command


def node(program, *packages):
    def make(d):
        with open(os.path.join(d, 'package.json'), 'w') as f:
            f.write('{}')
        fetch(packages[0], 'the npm registry', [
            need('npm'), 'install', '--silent', '--no-audit', '--no-fund', 'node@24.21.0', *packages], cwd=d)

    def command():
        d = cached('node-' + packages[0].replace('/', '-'), make)
        for name in (program, 'said.js'):
            shutil.copy(source(name), d)  # a program finds its packages from where it lies
        return [os.path.join(d, 'node_modules', '.bin', 'node'), os.path.join(d, program)]
    return command


# (client, version, the table that tells of it, the command that runs it, made when it is its turn). In the order in which
# they run: cheap ones and those that many use first, as the time may be used up.
CLIENTS = [
    ('kcat', 'librdkafka of Debian 12', 'clients', kcat),
    ('python3-kafka', '2.0.2 of Debian 12', 'clients', debian_kafka),
    ('confluent-kafka', '2.16.1', 'clients', wheel('confluent.py', 'confluent-kafka==2.16.1')),
    ('kafka-python', '3.0.12', 'clients', wheel('kafka_python.py', 'kafka-python==3.0.12', 'python-snappy==0.7.3',
                                                'lz4==4.4.5', 'zstandard==0.25.0')),
    ('java-4.4', '4.4.0', 'clients', java_client('4.4.0')),
    ('franz-go', '1.22.2', 'clients', go('franz', 'franz', ('require github.com/twmb/franz-go v1.22.2',
                                                            'require github.com/twmb/franz-go/pkg/kadm v1.19.0'))),
    ('java-3.9', '3.9.1', 'clients', java_client('3.9.1')),
    ('sarama', '1.61.1', 'clients', go('sarama', 'sarama', ('require github.com/IBM/sarama v1.61.1',))),
    ('kafka-tools', '4.3.1', 'tools', java('Tools', 'org.apache.kafka:kafka-tools:4.3.1', 'org.apache.kafka:kafka_2.13:4.3.1')),
    ('java-admin', '4.4.0', 'admin', java('Admins', 'org.apache.kafka:kafka-clients:4.4.0', SILENT)),
    ('streams-4.3', '4.3.1', 'streams', streams('4.3.1')),
    ('kafkajs', '2.2.4', 'clients', node('kafkajs.js', 'kafkajs@2.2.4', 'kafkajs-snappy@1.1.0', 'lz4js@0.2.0')),
    ('streams-3.9', '3.9.1', 'streams', streams('3.9.1')),
    ('java-2.8', '2.8.2', 'clients', java_client('2.8.2')),
    ('sarama-old', '1.29.1', 'clients', go('sarama-old', 'sarama', (
        'require github.com/IBM/sarama v1.61.1', 'replace github.com/IBM/sarama => github.com/Shopify/sarama v1.29.1'), 'old')),
    ('platformatic', '2.12.1', 'clients', node('platformatic.mjs', '@platformatic/kafka@2.12.1')),
    ('flink', '2.2.1, connector 5.0.0', 'engines', java('Flink', *['org.apache.flink:%s:2.2.1' % n for n in (
        'flink-clients', 'flink-streaming-java', 'flink-connector-base')], 'org.apache.flink:flink-connector-kafka:5.0.0-2.2')),
    ('storm', '2.8.3', 'engines', java('Storm', 'org.apache.storm:storm-server:2.8.3', 'org.apache.storm:storm-client:2.8.3',
                                       'org.apache.storm:storm-kafka-client:2.8.3', 'org.apache.kafka:kafka-clients:3.9.1')),
    ('spark', '4.0.0', 'engines', java('Spark', 'org.apache.spark:spark-sql_2.13:4.0.0',
                                       'org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0')),
]
