"""mill.py - what the end-to-end tests share: running millrace, waiting for what must come true, telling results.

Each check prints "ok NAME", "not ok NAME" with the difference, or "skip NAME: why"; the exit code follows.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get('MR_SOURCE_DIR') or os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
BUILD = os.environ.get('MR_BUILD_DIR') or os.path.join(ROOT, 'build')
MILLRACE = os.path.join(BUILD, 'millrace')
DATA = os.path.join(ROOT, '..', 'shared', 'data')
DEADLINE = 120  # seconds until something that must come true counts as false

failures = 0


def ok(name, truth, why=''):
    global failures
    if truth:
        print('ok ' + name, flush=True)
    else:
        failures += 1
        print('not ok %s\n    %s' % (name, str(why).replace('\n', '\n    ')[:4000]), flush=True)
    return bool(truth)


def equal(name, got, want):
    return ok(name, got == want, '' if got == want else difference(got, want))


def difference(got, want):
    if isinstance(got, list) and isinstance(want, list):
        for i, (g, w) in enumerate(zip(got, want)):
            if g != w:
                return 'of %d, %d wanted, number %d differs:\n got  %r\n want %r' % (len(got), len(want), i, g, w)
        return '%d came, %d wanted; first beyond: %r' % (len(got), len(want), (got + want)[min(len(got), len(want)):][:1])
    if isinstance(got, dict) and isinstance(want, dict):
        keys = [k for k in sorted(set(got) | set(want), key=str) if got.get(k) != want.get(k)]
        return '%d keys differ, first %r: got %r, want %r' % (len(keys), keys[0], got.get(keys[0]), want.get(keys[0]))
    return 'got  %r\nwant %r' % (got, want)


def skip(name, why):
    print('skip %s: %s' % (name, why), flush=True)


def done():
    sys.exit(1 if failures else 0)


def have(program):
    return shutil.which(program) is not None


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def folder():
    d = tempfile.mkdtemp(prefix='millrace-e2e-')
    for name in ('scripts', 'pipelines'):
        os.symlink(os.path.join(ROOT, name), os.path.join(d, name))
    try:
        yield d
    finally:
        shutil.rmtree(d, ignore_errors=True)


def run(cwd, *args, timeout=DEADLINE, env=None):
    """Runs millrace to its end: (exit code, stdout, stderr)."""
    p = subprocess.run([MILLRACE, *args], cwd=cwd, capture_output=True, timeout=timeout,
                       env={**os.environ, **(env or {})})
    return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')


@contextlib.contextmanager
def running(cwd, *args, env=None, stop=signal.SIGINT):
    """Runs millrace beside the test; ends it with a signal when the block is left. p.code is its exit code."""
    log = open(os.path.join(cwd, 'stderr.txt'), 'ab')
    p = subprocess.Popen([MILLRACE, *args], cwd=cwd, stdout=log, stderr=log, env={**os.environ, **(env or {})})
    p.code = None
    try:
        yield p
    finally:
        if p.poll() is None:
            p.send_signal(stop)
        try:
            p.code = p.wait(60)
        except subprocess.TimeoutExpired:
            p.kill()
            p.code = p.wait()
        log.close()


def catches(pid, signo):
    """Does this process handle that signal by now?"""
    try:
        with open('/proc/%d/status' % pid) as f:
            return any(int(line.split()[1], 16) >> (signo - 1) & 1 for line in f if line.startswith(('SigCgt', 'SigBlk')))
    except OSError:
        return False


def said(cwd):
    with open(os.path.join(cwd, 'stderr.txt'), errors='replace') as f:
        return f.read()[-3000:]


def until(what, deadline=DEADLINE):
    """Polls until what() is true; returns its last value."""
    end = time.monotonic() + deadline
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.02)


def listening(port):
    def probe():
        with contextlib.closing(socket.socket()) as s:
            return s.connect_ex(('127.0.0.1', port)) == 0
    return until(probe, 30)


def kcat(port, *args, stdin=None):
    p = subprocess.run(['kcat', '-q', '-b', '127.0.0.1:%d' % port, *args], input=stdin, capture_output=True,
                       timeout=DEADLINE)
    return p.returncode, p.stdout, p.stderr.decode(errors='replace')


def jsonl(path):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def topic_records(cwd, topic, data='.millrace'):
    """All records of a topic of a data directory that no one uses, by a Kafka client we did not write: kcat."""
    port = free_port()
    with running(cwd, 'serve', '--data', data, '--listen', '127.0.0.1:%d' % port):
        if not listening(port):
            raise RuntimeError('serve did not listen: ' + said(cwd))
        code, out, err = kcat(port, '-C', '-t', topic, '-o', 'beginning', '-e', '-J')
        if code:
            raise RuntimeError('kcat: ' + err)
    return [json.loads(line) for line in out.decode('utf-8', 'surrogateescape').split('\n') if line]
