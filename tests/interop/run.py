#!/usr/bin/env python3
"""run.py [--write | CLIENT...] - Kafka clients that others wrote, each against a `millrace serve` of its own.

Every client does the same steps and says ok, not ok or skip for each. What is missing here, a toolchain or a
registry, skips its client and says why. Nothing of this is needed to build or to run millrace: what is fetched
lies in $MR_INTEROP_CACHE (~/.cache/millrace-interop). --write tells the results to docs/compatibility.md.
"""
import datetime
import os
import shutil
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'e2e'))
from mill import ROOT, folder, free_port, listening, running, said  # noqa: E402

CACHE = os.environ.get('MR_INTEROP_CACHE') or os.path.expanduser('~/.cache/millrace-interop')
FETCH_S, CLIENT_S = 600, 240
TRANSACTION_APIS = {22, 24, 25, 26, 28}


class Missing(Exception):
    """A toolchain or a registry is not there."""


def need(program):
    path = shutil.which(program)
    if not path:
        raise Missing('%s is not installed' % program)
    return path


def cached(name, make):
    """The folder of that name in the cache; make(folder) fills it the first time, whole or not at all."""
    path = os.path.join(CACHE, name)
    if not os.path.exists(os.path.join(path, '.whole')):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        make(path)
        open(os.path.join(path, '.whole'), 'w').close()
    return path


def fetch(what, args, cwd=None, env=None):
    try:
        p = subprocess.run(args, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, timeout=FETCH_S)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Missing('%s could not be fetched: %s' % (what, why)) from why
    if p.returncode:
        lines = (p.stderr + p.stdout).decode(errors='replace').strip().split('\n')
        raise Missing('%s could not be fetched: %s' % (what, ' / '.join(lines[-3:])[-400:]))


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
        fetch('venv', [sys.executable, '-m', 'venv', d])
        fetch(packages[0], [os.path.join(d, 'bin', 'pip'), 'install', '-q', *packages])
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
        fetch(artefacts[0], [
            need('mvn'), '-q', '-B', '-s', os.path.join(d, 'maven.xml'), '-f', os.path.join(d, 'pom.xml'),
            '-DoutputDirectory=' + os.path.join(d, 'lib'),
            'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'])
    return os.path.join(cached('java-' + '-'.join(artefacts[0].split(':')[1:]), make), 'lib', '*')


# Spark and Flink look into Java's own classes
OPEN = ['--add-opens=java.base/%s=ALL-UNNAMED' % m for m in (
    'java.util', 'java.util.concurrent', 'java.util.concurrent.atomic', 'java.lang', 'java.lang.invoke', 'java.lang.reflect',
    'java.nio', 'java.net', 'java.io', 'sun.nio.ch', 'sun.nio.cs', 'sun.security.action', 'sun.util.calendar')]


def java(program, *artefacts):
    def command():
        need('javac')
        lib = jars(*artefacts)
        out = os.path.join(CACHE, 'classes-' + artefacts[0].replace(':', '-'))
        subprocess.run(['javac', '-nowarn', '-Xlint:none', '-cp', lib, '-d', out, source(program + '.java')], check=True,
                       stderr=subprocess.DEVNULL)
        return ['java', '-XX:TieredStopAtLevel=1', *OPEN, '-cp', out + ':' + lib, program]
    return command


def java_client(version):
    return java('Client', 'org.apache.kafka:kafka-clients:' + version, 'org.slf4j:slf4j-nop:1.7.36')


def go(name, folder_name, change, tags=''):
    """Built in the cache, so that no go.sum and no module lies in our tree."""
    def command():
        d = os.path.join(CACHE, 'go-' + name)
        shutil.rmtree(d, ignore_errors=True)
        shutil.copytree(source(folder_name), d)
        with open(os.path.join(d, 'go.mod'), 'w') as f:
            f.write('module interop\n\ngo 1.25\n\n' + '\n'.join(change) + '\n')
        env = {'GOPATH': os.path.join(CACHE, 'gopath'), 'GOFLAGS': '-modcacherw', 'GOTOOLCHAIN': 'local'}
        fetch(name, [need('go'), 'mod', 'tidy'], cwd=d, env=env)
        subprocess.run(['go', 'build', '-tags', tags, '-o', 'client', '.'], cwd=d, env={**os.environ, **env}, check=True)
        return [os.path.join(d, 'client')]
    return command


def node(program, *packages):
    def make(d):
        with open(os.path.join(d, 'package.json'), 'w') as f:
            f.write('{}')
        fetch(packages[0], [need('npm'), 'install', '--silent', '--no-audit', '--no-fund', 'node@24.21.0', *packages], cwd=d)

    def command():
        d = cached('node-' + packages[0].replace('/', '-'), make)
        for name in (program, 'said.js'):
            shutil.copy(source(name), d)  # a program finds its packages from where it lies
        return [os.path.join(d, 'node_modules', '.bin', 'node'), os.path.join(d, program)]
    return command


# (client, version, the command that runs it, made when it is its turn)
CLIENTS = [
    ('kcat', 'librdkafka of Debian 12', kcat),
    ('python3-kafka', '2.0.2 of Debian 12', debian_kafka),
    ('kafka-python', '3.0.12', wheel('kafka_python.py', 'kafka-python==3.0.12', 'python-snappy==0.7.3', 'lz4==4.4.5',
                                     'zstandard==0.25.0')),
    ('confluent-kafka', '2.16.1', wheel('confluent.py', 'confluent-kafka==2.16.1')),
    ('java-2.8', '2.8.2', java_client('2.8.2')),
    ('java-3.9', '3.9.1', java_client('3.9.1')),
    ('java-4.4', '4.4.0', java_client('4.4.0')),
    ('franz-go', '1.22.2', go('franz', 'franz', ('require github.com/twmb/franz-go v1.22.2',
                                                 'require github.com/twmb/franz-go/pkg/kadm v1.19.0'))),
    ('sarama-old', '1.29.1', go('sarama-old', 'sarama', (
        'require github.com/IBM/sarama v1.61.1', 'replace github.com/IBM/sarama => github.com/Shopify/sarama v1.29.1'), 'old')),
    ('sarama', '1.61.1', go('sarama', 'sarama', ('require github.com/IBM/sarama v1.61.1',))),
    ('kafkajs', '2.2.4', node('kafkajs.js', 'kafkajs@2.2.4', 'kafkajs-snappy@1.1.0', 'lz4js@0.2.0')),
    ('platformatic', '2.12.1', node('platformatic.mjs', '@platformatic/kafka@2.12.1')),
    ('flink', '2.2.1, connector 5.0.0', java('Flink', *['org.apache.flink:%s:2.2.1' % n for n in (
        'flink-clients', 'flink-streaming-java', 'flink-connector-base')], 'org.apache.flink:flink-connector-kafka:5.0.0-2.2')),
    ('spark', '4.0.0', java('Spark', 'org.apache.spark:spark-sql_2.13:4.0.0', 'org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0')),
    ('storm', '2.8.3', java('Storm', 'org.apache.storm:storm-server:2.8.3', 'org.apache.storm:storm-client:2.8.3',
                            'org.apache.storm:storm-kafka-client:2.8.3', 'org.apache.kafka:kafka-clients:3.9.1')),
]


def served_apis(port):
    """The numbers of the calls that the broker says it has."""
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        request = struct.pack('>hhih', 18, 0, 1, 1) + b'x'
        s.sendall(struct.pack('>i', len(request)) + request)
        f = s.makefile('rb')
        answer = f.read(struct.unpack('>i', f.read(4))[0])
    return {struct.unpack_from('>h', answer, 10 + 6 * i)[0] for i in range((len(answer) - 10) // 6)}


def client(name, command):
    """Runs one client: a list of (step, result, why)."""
    rows = []
    with folder() as d:
        port = free_port()
        where = '127.0.0.1:%d' % port
        with running(d, 'serve', '--data', 'data', '--listen', where) as served:
            if not listening(port):
                return [('serve listens', 'not ok', said(d))]
            more = ['transactions'] if TRANSACTION_APIS <= served_apis(port) else []
            try:
                p = subprocess.run([*command, where, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=CLIENT_S)
                out, err, code = p.stdout, p.stderr, p.returncode
            except subprocess.TimeoutExpired as late:
                out, err, code = late.stdout or b'', late.stderr or b'', 'none within %d s' % CLIENT_S
            for line in out.decode(errors='replace').split('\n'):
                if line.startswith(('ok ', 'not ok ')):
                    result, step = line.split(' ', 1) if line.startswith('ok ') else ('not ok', line[7:])
                    rows.append([step, result, ''])
                elif line.startswith('skip '):
                    step, _, why = line[5:].partition(': ')
                    rows.append([step, 'skip', why])
                elif rows and line.startswith('    '):
                    rows[-1][2] += line.strip() + '\n'
            if code != 0 and not any(r[1] == 'not ok' for r in rows):
                rows.append(['runs to its end', 'not ok', 'exit code %s: %s' % (code, err.decode(errors='replace')[-800:])])
        if served.code != 0:
            rows.append(['serve ends with 0', 'not ok', 'exit code %s: %s' % (served.code, said(d))])
    return rows


def page(results):
    """The table, in the order of the clients; a column for each step that any of them has."""
    steps = []
    for _, _, rows in results:
        steps += [r[0] for r in rows if r[0] not in steps]
    words = {'ok': 'yes', 'not ok': '**no**', 'skip': '-'}
    lines = ['# Kafka clients that were tried', '',
             'Written by `tests/interop/run.py --write` on %s. Each client ran against a fresh `millrace serve`, with the'
             % datetime.date.today().isoformat(),
             'defaults of its library where nothing else is said; `tests/interop` has the programs. A `-` means that the',
             'client cannot do it, or the broker does not offer it yet: the notes below say which.', '',
             '| client | version | ' + ' | '.join(steps) + ' |', '|---' * (len(steps) + 2) + '|']
    notes = []
    for name, version, rows in results:
        by_step = {r[0]: r for r in rows}
        lines.append('| %s | %s | %s |' % (name, version, ' | '.join(
            words[by_step[s][1]] if s in by_step else '' for s in steps)))
        notes += ['* %s, %s: %s' % (name, s, r[2].split('\n')[0]) for s, r in by_step.items() if r[1] != 'ok']
    return '\n'.join(lines + ['', '## What was done', ''] + WHAT + ['', '## Notes', ''] + notes) + '\n'


WHAT = [
    '* metadata: brokers and topics are listed.',
    '* create topics: with one and four partitions; they are listed.',
    '* codecs x acks: 20 records each of none, gzip, snappy, lz4 and zstd, by acks 0, 1 and all, with keys, headers, times.',
    '* read from offsets: those records, from four offsets on, compared one by one.',
    '* list offsets: beginning, end, and by time.',
    '* group resumes: a member reads half and commits; the next one reads the other half, each record once.',
    '* two members share: four partitions, two each; when one leaves, the other has all.',
    '* admin: create, describe, settings read and changed, partitions added, records and groups and topics deleted.',
    '* idempotent: many small batches in flight at once keep their order and come once.',
    '* transactions: one aborted, others committed (most clients: with group offsets); read committed and uncommitted.',
    '',
    '## What differs from Apache Kafka on one node',
    '',
    '* A record becomes visible when it is durable. After acks 0 or 1 the end of the partition may lag for some',
    '  milliseconds, and DeleteRecords up to such a record is refused with OFFSET_OUT_OF_RANGE until then.',
    '* A client that fetches with a version below 10 (sarama 1.29 by default) is not given zstd.',
]


def main():
    write = '--write' in sys.argv
    wanted = [a for a in sys.argv[1:] if not a.startswith('--')]
    unknown = set(wanted) - {c[0] for c in CLIENTS}
    if unknown:
        sys.exit('run.py: no client %s; there are: %s' % (', '.join(sorted(unknown)), ' '.join(c[0] for c in CLIENTS)))
    if write and wanted:
        sys.exit('run.py: --write tells of all clients: run it without names')
    os.makedirs(CACHE, exist_ok=True)
    results, count = [], {'ok': 0, 'not ok': 0, 'skip': 0}
    for name, version, make in CLIENTS:
        if wanted and name not in wanted:
            continue
        try:
            rows = client(name, make())
            results.append((name, version, rows))
        except Missing as why:
            rows = [('all of it', 'skip', str(why))]
        for step, result, why in rows:
            count[result] += 1
            print('%s %s: %s%s' % (result, name, step, ' (%s)' % why if result == 'skip' else ''), flush=True)
            if result == 'not ok':
                print('    ' + why.strip().replace('\n', '\n    '), flush=True)
    print('interop: %d ok, %d not ok, %d skipped' % (count['ok'], count['not ok'], count['skip']))
    if write:
        with open(os.path.join(ROOT, 'docs', 'compatibility.md'), 'w') as f:
            f.write(page(results))
    sys.exit(1 if count['not ok'] or not count['ok'] else 0)


main()
