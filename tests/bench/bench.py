#!/usr/bin/env python3
"""bench.py - millrace beside other programs on the same work, in the same minute.

    bench.py pipelines [--jobs j1,j2,...] [--reps 3]   file to file jobs: CPU s per 1M events, wall, peak memory, ratios
    bench.py follow                                     latency and idle cost of a follower; start-up of `serve`
    bench.py memory                                     peak memory of the first job on 5,000,000 lines
    bench.py lua                                        what Lua adds to an event, in the process
    bench.py broker                                     the log beside Apache Kafka and NATS JetStream (broker.py), as tables in Markdown

Peers run in turn, repetition by repetition, so that a slow minute falls on all of them; medians are printed. Outputs are
compared record by record (an order-free digest of normalised records) with a reference in Python. The peers' own
configurations and larger data come from ../shared/bench where that folder is there; else a generator and the peers in
this file serve. Data goes to $BENCH_DATA (/tmp/millrace-bench). Nothing here judges: it prints.
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
SHARED = os.path.join(ROOT, '..', 'shared', 'bench')
DATA = os.environ.get('BENCH_DATA', '/tmp/millrace-bench')
MILLRACE = os.environ.get('MILLRACE', os.path.join(ROOT, 'build', 'millrace'))

PARSE_J1 = r"""
      - parse: combined
      - drop: e.method == nil or e.path == "/healthz" or e.path == "/readyz"
      - rename: { client: remote, status: code, bytes: size }
"""
PARSE_J1_REGEX = r"""
      - parse:
          regex: '^(?<remote>\S+) \S+ (?<user>\S+) \[(?<time>[^\]]+)\] "(?<method>\S+) (?<path>\S+) (?<protocol>[^"\s]+)" (?<code>\d{3}) (?<size>\d+|-) "(?<referer>[^"]*)" "(?<agent>[^"]*)"$'
      - drop: e.path == "/healthz" or e.path == "/readyz"
"""
STEPS_J2 = """
      - parse: json
      - drop: e.level == "debug"
      - remove: span_id
      - set: { env: "'prod'" }
"""
STEPS_J4 = """
      - parse: json
      - lua: |
          if e.level == "debug" then return false end
          e.service = e.service:lower()
          e.size_kb = e.http.bytes // 1024
"""


def job(steps, to):
    return 'pipelines:\n  job:\n    from: { file: { paths: [ "%(in)s" ], start: head, mode: once } }\n' + \
        ('    steps:' + steps if steps else '') + '    on_error: drop\n    to: ' + to + '\n'


FILE = '{ file: { path: "%(out)s" } }'
OURS = {  # job: [(name, YAML, where its output is)]
    'j1': [('millrace', job(PARSE_J1, FILE)), ('millrace regex', job(PARSE_J1_REGEX, FILE)),
           ('millrace topic', job(PARSE_J1, '{ topic: out }'))],
    'j2': [('millrace', job(STEPS_J2, FILE))],
    'j3': [('millrace', job('', '{ file: { path: "%(out)s", format: lines } }'))],
    'j4': [('millrace', job(STEPS_J4, FILE))],
    'j5': [('millrace', job("""
      - parse: combined
      - window: { id: w, every: 1m, by: [status], compute: { n: count() } }
""", FILE))],
}
TITLE = {'j1': 'combined log -> parse -> drop health checks -> JSON lines',
         'j2': 'JSON -> drop debug, remove a field, add a field -> JSON lines', 'j3': 'file to file, unchanged',
         'j4': 'JSON through a script: lower-case, compute, drop debug', 'j5': 'count by minute and status'}

# ------------------------------------------------------------------ data and references

COMBINED = re.compile(r'^(?P<remote>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) '
                      r'(?P<protocol>[^"\s]+)" (?P<code>\d{3}) (?P<size>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$')
J1_FIELDS = ['remote', 'user', 'time', 'method', 'path', 'protocol', 'code', 'size', 'referer', 'agent']


def make_own_data(events):
    """Smaller stand-ins for the shared generator's files; the same bytes for the same seed."""
    r = random.Random(42)
    access, app = os.path.join(DATA, 'access-own.log'), os.path.join(DATA, 'app-own.jsonl')
    if os.path.exists(access) and os.path.exists(app):
        return access, app
    with open(access, 'w') as a, open(app, 'w') as j:
        for i in range(events):
            t = datetime.datetime(2026, 3, 1) + datetime.timedelta(milliseconds=7 * i)
            path = '/healthz' if r.random() < .05 else '/store/item/%d?q=%d' % (r.randrange(20000), r.randrange(99))
            a.write('10.%d.%d.%d - - [%s +0000] "GET %s HTTP/1.1" %d %d "https://example.org/%d" "Mozilla/5.0 (X11; Linux '
                    'x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0"\n'
                    % (r.randrange(256), r.randrange(256), r.randrange(256), t.strftime('%d/%b/%Y:%H:%M:%S'), path,
                       r.choice((200, 200, 200, 304, 404, 500)), r.randrange(50000), r.randrange(100), r.randrange(90, 130)))
            j.write(json.dumps({'ts': t.isoformat() + 'Z', 'level': r.choice(('info', 'info', 'debug', 'warn')), 'service': 'Mailer',
                                'trace_id': '%032x' % r.getrandbits(128), 'span_id': '%016x' % r.getrandbits(64), 'msg': 'done',
                                'http': {'method': 'GET', 'path': path, 'status': 200, 'bytes': r.randrange(1 << 20),
                                         'dur_ms': r.randrange(10000) / 10}, 'user': {'id': i, 'tier': 'free'},
                                'tags': ['a', 'b'], 'retry': False}, separators=(',', ':')) + '\n')
    return access, app


def inputs():
    os.makedirs(DATA, exist_ok=True)
    if os.path.isdir(SHARED):
        gen = os.path.join(DATA, 'gen')
        for tool in ('gen', 'ceil', 'meas'):
            if not os.path.exists(os.path.join(DATA, tool)):
                subprocess.run(['gcc', '-O2', os.path.join(SHARED, tool + '.c'), '-o', os.path.join(DATA, tool), '-lm'], check=True)
        for name, kind, n in (('access-1m.log', 'combined', 1000000), ('app-1m.jsonl', 'json', 1000000)):
            path = os.path.join(DATA, name)
            if not os.path.exists(path):
                with open(path + '.part', 'wb') as f:
                    subprocess.run([gen, kind, str(n)], stdout=f, check=True)
                os.rename(path + '.part', path)
        access, app = os.path.join(DATA, 'access-1m.log'), os.path.join(DATA, 'app-1m.jsonl')
    else:
        print('# ../shared/bench is not there: own generator, 200,000 events')
        access, app = make_own_data(200000)
    return {'j1': access, 'j2': app, 'j3': access, 'j4': app, 'j5': access}


def reference(name, path):
    with open(path, encoding='utf-8') as f:
        counts = {}
        for line in f:
            line = line.rstrip('\n')
            if name == 'j1':
                m = COMBINED.match(line)
                if m and m['path'] not in ('/healthz', '/readyz'):
                    yield m.groupdict()
            elif name == 'j3':
                yield {'line': line}
            elif name == 'j5':
                q, t = line.split('"'), line[line.index('[') + 1:][:17]
                key = (t, q[2].split()[0])
                counts[key] = counts.get(key, 0) + 1
            else:
                r = json.loads(line)
                if r['level'] != 'debug':
                    if name == 'j2':
                        del r['span_id']
                        r['env'] = 'prod'
                    else:
                        r['service'] = r['service'].lower()
                        r['size_kb'] = r['http']['bytes'] // 1024
                    yield r
        for (t, status), n in counts.items():
            when = datetime.datetime.strptime(t, '%d/%b/%Y:%H:%M')
            yield {'minute': when.strftime('%Y-%m-%dT%H:%M'), 'status': status, 'n': n}


def normal(name, r):
    """The part of a record that the job defines: text only in J1, where programs disagree about types."""
    if name == 'j1':
        r = {k: str(r.get(k, '-' if k == 'size' else '')) for k in J1_FIELDS}
    if name == 'j5':
        if 'window' in r:
            r = {'minute': r['window']['start'][:16], 'status': str(r['status']), 'n': r['n']}
    return json.dumps(r, sort_keys=True, separators=(',', ':')).encode()


def digest(name, records):
    n = total = 0
    for r in records:
        total += int.from_bytes(hashlib.blake2b(normal(name, r), digest_size=8).digest(), 'big')
        n += 1
    return '%d:%016x' % (n, total & (1 << 64) - 1)


def records_of(name, path):
    with open(path, encoding='utf-8', errors='surrogateescape') as f:
        for line in f:
            if name == 'j3':
                yield {'line': line.rstrip('\n')}
            elif line.strip().startswith('{'):
                yield json.loads(line)
            elif name == 'j5' and line.strip():
                minute, status, n = line.split()
                yield {'minute': minute, 'status': status, 'n': int(n)}


def want(name, path):
    cache = path + '.' + name + '.digest'
    if not os.path.exists(cache):
        with open(cache, 'w') as f:
            f.write(digest(name, reference(name, path)))
    return open(cache).read()


# ------------------------------------------------------------------ measuring

def measure(cmd, stdin=None, stdout=None, cwd=None, env=None):
    """Runs to the end: wall, CPU seconds of it and its children, peak resident MB (VmHWM, looked at every 10 ms)."""
    t0 = time.monotonic()
    with contextlib.ExitStack() as files:
        p = subprocess.Popen(cmd, cwd=cwd, env={**os.environ, **(env or {})},
                             stdin=files.enter_context(open(stdin, 'rb')) if stdin else subprocess.DEVNULL,
                             stdout=files.enter_context(open(stdout, 'wb')) if stdout else subprocess.DEVNULL,
                             stderr=files.enter_context(open(os.path.join(DATA, 'stderr'), 'wb')))
        peak = 0
        while True:
            with contextlib.suppress(OSError, StopIteration):
                with open('/proc/%d/status' % p.pid) as f:
                    peak = max(peak, next(int(l.split()[1]) for l in f if l.startswith('VmHWM')))
            pid, status, usage = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        p.returncode = os.waitstatus_to_exitcode(status)
    return {'wall': time.monotonic() - t0, 'cpu': usage.ru_utime + usage.ru_stime, 'rss': peak / 1024, 'code': p.returncode}


def run_ours(name, yaml, inp, rep):
    work = os.path.join(DATA, 'work')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    out = os.path.join(work, 'out.jsonl')
    with open(os.path.join(work, 'job.yaml'), 'w') as f:
        f.write(yaml % {'in': inp, 'out': out})
    m = measure([MILLRACE, 'run', '--once', '--data', os.path.join(work, 'data'), 'job.yaml'], cwd=work)
    m['out'] = out if os.path.exists(out) else None
    if m['code']:
        print('# millrace %s: exit %d: %s' % (name, m['code'], open(os.path.join(DATA, 'stderr')).read()[-600:]))
    if not m['out']:
        m['topic'] = os.path.join(work, 'data')
    return m


def topic_out(data, path):
    """What a topic holds, read by kcat, which we did not write."""
    if not shutil.which('kcat'):
        return None
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    p = subprocess.Popen([MILLRACE, 'serve', '--data', data, '--listen', '127.0.0.1:%d' % port], stderr=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', port)) == 0:
                    break
            time.sleep(0.01)
        with open(path, 'wb') as f:
            subprocess.run(['kcat', '-q', '-b', '127.0.0.1:%d' % port, '-C', '-t', 'out', '-o', 'beginning', '-e'], stdout=f, check=True)
    finally:
        p.terminate()
        p.wait()
    return path


OWN_PEERS = {  # used where ../shared/bench is not there
    'j1': [('python3', [sys.executable, '-c', '''
import json,re,sys
m=re.compile(r'%s').match
for l in sys.stdin:
    g=m(l.rstrip("\\n"))
    if g and g["path"] not in ("/healthz","/readyz"): sys.stdout.write(json.dumps(g.groupdict())+"\\n")
''' % COMBINED.pattern])],
    'j3': [('cat', ['cat'])],
    'j2': [('jq', ['jq', '-c', 'select(.level != "debug") | del(.span_id) | .env = "prod"'])],
    'j4': [('jq', ['jq', '-c', 'select(.level != "debug") | .service |= ascii_downcase | .size_kb = (.http.bytes / 1024 | floor)'])],
    'j5': [],
}


def pipelines(a):
    data = inputs()
    shared = None
    if os.path.isdir(SHARED):
        sys.path.insert(0, SHARED)
        sys.dont_write_bytecode = True
        import canon
        import pipeline
        shared = pipeline
    print('date %s, %d processors, %s' % (datetime.date.today(), os.cpu_count(), cpu_name()))
    for name in a.jobs.split(','):
        inp = data[name]
        events = sum(b.count(b'\n') for b in iter(lambda f=open(inp, 'rb'): f.read(1 << 20), b''))
        runs, verdict = {}, {}
        peers = []
        if shared:
            peers = [p for p in shared.PEERS if p['job'] == name and shared.resolve(p['cmd'], DATA)
                     and (not a.peers and p['name'] not in ('jq', 'miller', 'gawk', 'luajit+cjson') or p['name'] in (a.peers or '').split(','))]
        for rep in range(a.reps):
            for title, yaml in OURS[name]:
                m = run_ours(name, yaml, inp, rep)
                runs.setdefault(title, []).append(m)
                if rep == a.reps - 1:
                    out = m['out'] or topic_out(m['topic'], os.path.join(DATA, 'topic.out'))
                    verdict[title] = 'not compared (kcat is missing)' if not out else \
                        'ok' if digest(name, records_of(name, out)) == want(name, inp) else 'WRONG'
            if shared:
                for p in peers:
                    m = shared.run(p, DATA, os.path.join(DATA, 'work'))
                    runs.setdefault(p['name'], []).append(m)
                    if rep == a.reps - 1:
                        verdict[p['name']] = canon.check(name, inp, m['out']) if os.path.exists(m['out']) else 'NO OUTPUT'
            else:
                for title, cmd in OWN_PEERS[name]:
                    if not shutil.which(cmd[0]):
                        continue
                    out = os.path.join(DATA, 'peer.out')
                    runs.setdefault(title, []).append(measure(cmd, stdin=inp, stdout=out))
                    verdict[title] = 'ok' if digest(name, records_of(name, out)) == want(name, inp) else 'WRONG'
        print('\n%s: %s (%d events, %.0f MB, medians of %d)' % (name.upper(), TITLE[name], events, os.path.getsize(inp) / 1e6, a.reps))
        print('%-18s %10s %8s %8s %8s %12s  %s' % ('', 'CPU s/1M', 'wall s', 'RSS MB', 'events/s', 'CPU / ours', 'output'))
        base = None
        for title, rs in runs.items():
            c, w, m = (statistics.median(r[k] for r in rs) for k in ('cpu', 'wall', 'rss'))
            base = base or c
            print('%-18s %10.3f %8.2f %8.0f %8.0f %12.2f  %s' % (title, c * 1e6 / events, w, m, events / w, c / base, verdict.get(title)), flush=True)


def cpu_name():
    with open('/proc/cpuinfo') as f:
        return next((l.split(':', 1)[1].strip() for l in f if l.startswith('model name')), 'processor not named')


def cpu_of(pid):
    with open('/proc/%d/stat' % pid) as f:
        s = f.read().rsplit(')', 1)[1].split()
    return (int(s[11]) + int(s[12])) / os.sysconf('SC_CLK_TCK')


def rss_of(pid):
    with open('/proc/%d/status' % pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith('VmRSS')) / 1024


def follow(a):
    """100 lines a second into a followed file; how long until each is in the output file, and readable from a topic."""
    for title, to in (('to a file', '{ file: { path: out.log, format: lines } }'), ('to a topic', '{ topic: out }')):
        work = os.path.join(DATA, 'follow')
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        with open(work + '/job.yaml', 'w') as f:
            f.write('pipelines:\n  job:\n    from: { file: { paths: [ in.log ], start: head } }\n    to: %s\n' % to)
        fd = os.open(work + '/in.log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, b'first line\n')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        listen = ['--listen', '127.0.0.1:%d' % port] if 'topic' in title else []
        p = subprocess.Popen([MILLRACE, 'run', 'job.yaml', *listen], cwd=work, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        seen, stop = [], threading.Event()
        reader = threading.Thread(target=watch_topic if listen else watch_file, args=(port if listen else work + '/out.log', seen, stop))
        reader.start()
        t0 = time.monotonic()
        while not seen and time.monotonic() - t0 < 20:
            time.sleep(0.001)
        start = time.monotonic() - t0
        time.sleep(2)
        c = cpu_of(p.pid)
        time.sleep(5)
        idle, rss = (cpu_of(p.pid) - c) / 5 * 100, rss_of(p.pid)
        base, n, c = time.monotonic(), 1000, cpu_of(p.pid)
        for i in range(n):
            time.sleep(max(0, base + i / 100 - time.monotonic()))
            os.write(fd, b'%.6f %s\n' % (time.monotonic(), b'x' * 150))
        busy = (cpu_of(p.pid) - c) / 10 * 100
        time.sleep(2)
        stop.set()
        p.send_signal(signal.SIGINT)
        p.wait()
        reader.join()
        lat = sorted((t - float(l.split()[0])) * 1e3 for t, l in seen if l[:1].isdigit())
        if not lat:
            print('follow %s: no line came through' % title)
            continue
        q = lambda x: lat[min(len(lat) - 1, int(len(lat) * x))]
        print('follow %-10s start %.3f s, idle CPU %.2f %%, RSS %.1f MB, CPU at 100/s %.2f %%, %d of %d lines, latency ms p50 %.2f p99 %.2f max %.2f'
              % (title, start, idle, rss, busy, len(lat), n, q(.5), q(.99), lat[-1]), flush=True)


def watch_file(path, seen, stop):
    while not os.path.exists(path) and not stop.is_set():
        time.sleep(0.001)
    with open(path, 'rb') as f:
        rest = b''
        while not stop.is_set():
            b = f.read()
            if not b:
                time.sleep(0.0002)
                continue
            t = time.monotonic()
            *lines, rest = (rest + b).split(b'\n')
            seen.extend((t, l.decode()) for l in lines)


def watch_topic(port, seen, stop):
    """kcat as the reader: each record it prints is timed as it arrives."""
    for _ in range(500):
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                break
        time.sleep(0.01)
    p = subprocess.Popen(['kcat', '-q', '-u', '-b', '127.0.0.1:%d' % port, '-C', '-t', 'out', '-o', 'beginning', '-X', 'fetch.wait.max.ms=100'],
                         stdout=subprocess.PIPE)
    def end():
        stop.wait()
        p.terminate()
    threading.Thread(target=end).start()
    for line in p.stdout:
        t = time.monotonic()
        with contextlib.suppress(ValueError):
            seen.append((t, json.loads(line)['message']))


def serve(a):
    """Start of `serve` until the first ApiVersions answer, and its memory when idle."""
    times, rss = [], 0
    for _ in range(9):
        work = os.path.join(DATA, 'serve')
        shutil.rmtree(work, ignore_errors=True)
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        t0 = time.monotonic()
        p = subprocess.Popen([MILLRACE, 'serve', '--data', work, '--listen', '127.0.0.1:%d' % port], stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
        while True:
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', port)) == 0:
                    s.sendall(bytes.fromhex('0000000c' '0012' '0000' '00000007' '0002' '6262'))
                    got = s.recv(4096)
                    break
            time.sleep(0.0005)
        times.append(time.monotonic() - t0)
        time.sleep(0.5)
        rss = rss_of(p.pid)
        p.terminate()
        p.wait()
        if got[4:8] != bytes.fromhex('00000007'):
            print('serve: the answer to ApiVersions is wrong: %r' % got)
    print('serve: first ApiVersions answer after %.1f ms (median of %d; %.1f to %.1f), idle RSS %.1f MB'
          % (statistics.median(times) * 1e3, len(times), min(times) * 1e3, max(times) * 1e3, rss))


def memory(a):
    """The first job over 5,000,000 lines."""
    inputs()
    path = os.path.join(DATA, 'access-5m.log')
    if not os.path.exists(path):
        src = inputs()['j1']
        if os.path.exists(os.path.join(DATA, 'gen')):
            with open(path, 'wb') as f:
                subprocess.run([os.path.join(DATA, 'gen'), 'combined', '5000000'], stdout=f, check=True)
        else:
            with open(path, 'wb') as f:
                for _ in range(25):
                    shutil.copyfileobj(open(src, 'rb'), f)
    work = os.path.join(DATA, 'work')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    for name in ('scripts', 'pipelines'):
        os.symlink(os.path.join(ROOT, name), os.path.join(work, name))
    m = measure([MILLRACE, 'run', '--once', 'pipelines/access.yaml'], cwd=work, env={'ACCESS_LOG': path})
    print('memory: exit %d, %.2f CPU s/1M lines, wall %.1f s, peak RSS %.1f MB' % (m['code'], m['cpu'] / 5, m['wall'], m['rss']))


def lua(a):
    """The table of build/lua_bench, built with the tests."""
    program = os.path.join(ROOT, 'build', 'lua_bench')
    if not os.path.exists(program):
        sys.exit("bench.py: '%s' is not there: TESTS=ON ./dev build" % program)
    subprocess.run([program], check=True)


def log(a):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.dont_write_bytecode = True
    import broker
    broker.bench(reps=a.broker_reps)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('what', nargs='*', default=['pipelines', 'follow', 'serve', 'memory'])
    ap.add_argument('--jobs', default='j1,j2,j3,j4,j5')
    ap.add_argument('--peers')
    ap.add_argument('--reps', type=int, help='3, of broker 2')
    a = ap.parse_args()
    a.broker_reps, a.reps = a.reps or 2, a.reps or 3
    for what in a.what or ['pipelines', 'follow', 'serve', 'memory']:
        f = {'pipelines': pipelines, 'follow': follow, 'serve': serve, 'memory': memory,
             'lua': lua, 'broker': log}.get(what)
        if not f:
            sys.exit("bench.py: there is no benchmark '%s': pipelines, follow, serve, memory, lua, broker" % what)
        f(a)


main()
