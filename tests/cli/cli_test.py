#!/usr/bin/env python3
"""cli_test.py - the command line as a person meets it: mistakes, help, exit codes, Ctrl-C once and twice."""
import json
import fcntl
import os
import re
import signal
import struct
import socket
import subprocess
import termios
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import MILLRACE, done, equal, folder, ok, run, running, said, until  # noqa: E402

JOB = """
pipelines:
  lines:
    from: { file: { paths: [ in.log ], start: head } }
    steps: [ { drop: 'e.message == "secret"' } ]
    to: { file: { path: out.txt, format: lines } }
"""
VERBS = ('run', 'serve', 'lint', 'test', 'plugins', 'topic', 'produce', 'consume', 'group', 'configs', 'txn', 'version')


def write(d, name, text):
    with open(os.path.join(d, name), 'w') as f:
        f.write(text)


def mistakes():
    rows = (
        ('no verb shows the help and is a mistake', [], 2, 'millrace run'),
        ('an unknown verb names the nearest', ['rnu'], 2, "did you mean 'run'?"),
        ('an unknown verb with nothing near says where to look', ['zzzzzzzz'], 2, 'millrace --help'),
        ('an unknown option names the nearest', ['run', '--onec', 'x.yaml'], 2, "did you mean '--once'?"),
        ('an option without its value is told', ['serve', '--data'], 2, '--data DIR'),
        ('a switch takes no value', ['run', '--once=yes', 'x.yaml'], 2, 'takes no value'),
        ('run needs a file', ['run'], 2, 'no file given'),
        ('lint needs a file', ['lint'], 2, 'no file given'),
        ('a file that is not there is named', ['run', 'absent.yaml'], 2, 'absent.yaml'),
        ('serve takes no file', ['serve', 'x.yaml'], 2, "'x.yaml' is too much"),
        ('a wrong address is told with an example', ['serve', '--listen', 'nowhere'], 2, '127.0.0.1:9092'),
        ('help of an unknown verb names the nearest', ['help', 'rnu'], 2, "did you mean 'run'?"),
        ('an unknown component names the nearest', ['plugins', 'fiel'], 2, "did you mean 'file'?"),
    )
    with folder() as d:
        for name, args, code, text in rows:
            got, out, err = run(d, *args)
            ok(name, got == code and text in err and not out, (got, out, err))


def helps():
    with folder() as d:
        for verb in VERBS:
            code, out, err = run(d, verb, '--help')
            ok('%s --help teaches on standard output' % verb,
               code == 0 and out.startswith('usage: millrace ' + verb) and len(out) > 100 and not err, (code, out, err))
        for flag in ('--help', '-h', 'help'):
            code, out, err = run(d, flag)
            ok('millrace %s names every verb' % flag, code == 0 and all('millrace ' + v in out for v in VERBS), (code, out, err))
        equal('help VERB is VERB --help', run(d, 'help', 'run'), run(d, 'run', '--help'))
        for flag in ('version', '--version'):
            code, out, err = run(d, flag)
            ok('millrace %s says which' % flag, code == 0 and re.match(r'millrace \d+\.\d+\.\d+ ', out), (code, out))


def components():
    with folder() as d:
        code, out, err = run(d, 'plugins')
        ok('plugins lists what is built in and what is loaded', code == 0 and all(
            re.search(r'^  %s ' % n, out, re.M) for n in ('file', 'topic', 'window', 'parse', 'drop')), (code, out, err))
        code, out, err = run(d, 'plugins', 'file')
        ok('plugins NAME tells the options of source and sink', code == 0 and 'source file' in out and 'sink file' in out
           and 'paths' in out, (code, out, err))
        code, out, err = run(d, 'plugins', 'grok')
        ok('a format is told as a component is', code == 0 and out.startswith('format grok (built in)')
           and 'definitions' in out, (code, out, err))
        code, out, err = run(d, 'plugins', 'window', '--markdown')
        ok('--markdown is the reference page', code == 0 and out.startswith('# `window`') and '`every`' in out, out[:500])
        code, out, err = run(d, 'plugins', env={'MILLRACE_PLUGINS': d})
        ok('MILLRACE_PLUGINS takes the place of the plugins beside the program',
           code == 0 and not re.search(r'^  file ', out, re.M) and re.search(r'^  window ', out, re.M), (code, out))
        code, out, err = run(d, 'plugins', '--plugins', 'nowhere')
        ok('a folder of plugins that is not there is told', code == 0 and "'nowhere' (--plugins)" in err, (code, err))
        write(d, 'no.so', 'this is no shared object')
        code, out, err = run(d, 'plugins', '--plugins', d)
        ok('a file that is no plugin is told and the rest goes on', code == 0 and 'no.so' in err and '  file ' in out, (out, err))


def linting():
    with folder() as d:
        write(d, 'good.yaml', JOB)
        write(d, 'bad.yaml', JOB.replace('paths', 'pathes'))
        code, out, err = run(d, 'lint', 'good.yaml')
        equal('lint of what is right', (code, out, err), (0, '1 pipeline is well written\n', ''))
        code, out, err = run(d, 'lint', 'bad.yaml')
        ok('lint of what is wrong says place and way out', code == 2 and re.search(r'^bad.yaml:4:\d+: error: ', err, re.M)
           and "'paths'" in err, (code, err))
        code, out, err = run(d, 'lint', '--json', 'bad.yaml')
        rows = [json.loads(line) for line in out.splitlines()]
        ok('lint --json says the same to programs', code == 2 and rows and not err and rows[0]['file'] == 'bad.yaml'
           and rows[0]['line'] == 4 and rows[0]['severity'] == 'error', (code, out, err))
        ok('lint touches nothing', not os.path.exists(d + '/.millrace') and not os.path.exists(d + '/out.txt'))


def runs():
    with folder() as d:
        write(d, 'job.yaml', JOB)
        write(d, 'in.log', 'one\nsecret\ntwo\n')
        code, out, err = run(d, 'run', '--once', 'job.yaml')
        ok('a run says where its data is, and its counts at the end', code == 0 and not out and 'data in .millrace' in err
           and 'lines: in 3, out 2, dropped 1, dead 0' in err, (code, out, err))
        equal('and has done its work', open(d + '/out.txt').read(), 'one\ntwo\n')
        code, out, err = run(d, 'run', '--once', 'job.yaml')
        ok('a second run goes on where the first one stopped', code == 0 and 'lines: in 0, out 0' in err
           and 'nothing new to read' in err, err)
        write(d, 'json.yaml', JOB.replace('drop: ', 'parse: json }, { drop: '))
        code, out, err = run(d, 'run', '--once', '--data', 'fresh', 'json.yaml')
        ok('of events that are refused the first is told with its reason, and where they are', code == 0
           and err.count('an event was refused: ') == 1
           and 'an object was expected' in err and 'dead 3 (topic lines.dead)' in err, (code, err))
        write(d, 'file', '')
        code, out, err = run(d, 'run', '--data', 'file', 'job.yaml')
        ok('a data directory that cannot be one is told with the way out', code == 1 and "'file'" in err and '--data' in err, err)
        with running(d, 'run', '--progress', 'job.yaml') as p:
            ok('progress is shown as counts change', until(lambda: re.search(
                r'^\d\d:\d\d:\d\d lines +in [\d,]+ ', (write_more(d), said(d))[1], re.M), 30), said(d))
            code, out, err = run(d, 'run', '--once', 'job.yaml')
            ok('a data directory in use is refused, with the process', code == 1 and 'in use by process %d;' % p.pid in err, (code, err))
        equal('Ctrl-C drains and ends with 0', p.code, 0)
        ok('and says so', 'draining' in said(d), said(d))


def write_more(d):
    with open(d + '/in.log', 'a') as f:
        f.write('more\n')


def reader_gone():
    """`millrace run job.yaml | head -1`: the reader leaves, and that is no failure."""
    with folder() as d:
        write(d, 'job.yaml', JOB.replace('file: { path: out.txt, format: lines }', 'stdout: { format: lines }'))
        write(d, 'in.log', ('x' * 1000 + '\n') * 2000)
        p = subprocess.Popen([MILLRACE, 'run', 'job.yaml'], cwd=d, stdout=subprocess.PIPE, stderr=open(d + '/stderr.txt', 'w'))
        p.stdout.readline()
        p.stdout.close()
        try:
            code = p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            code = 'still there after 20 s'
        equal('a reader of standard output that leaves ends the run with 0', code, 0) or print(said(d))


def forced():
    """A sink that never takes anything: draining lasts until somebody insists."""
    with folder() as d:
        os.mkfifo(d + '/stuck')
        write(d, 'job.yaml', JOB)
        write(d, 'in.log', 'one\n')
        hold = os.open(d + '/stuck', os.O_RDWR)  # nobody reads: the pipe fills
        p = subprocess.Popen([MILLRACE, 'run', 'big.yaml'], cwd=d, stdout=hold, stderr=open(d + '/stderr.txt', 'w'))
        p.wait()
        equal('a plan that is not there is a mistake of the caller', p.returncode, 2)
        write(d, 'big.yaml', JOB.replace('file: { path: out.txt, format: lines }', 'stdout: { format: lines }'))
        write(d, 'in.log', ('x' * 1000 + '\n') * 2000)
        p = subprocess.Popen([MILLRACE, 'run', '--data', 'd2', 'big.yaml'], cwd=d, stdout=hold, stderr=open(d + '/stderr.txt', 'w'))
        try:
            until(lambda: 'data in' in said(d), 20)
            until(lambda: struct.unpack('i', fcntl.ioctl(hold, termios.FIONREAD, b'\0' * 4))[0] > 60000, 20)  # it is stuck
            p.send_signal(signal.SIGINT)
            ok('the first Ctrl-C drains', until(lambda: 'draining' in said(d), 20), said(d))
            p.send_signal(signal.SIGINT)
            try:
                code = p.wait(20)
            except subprocess.TimeoutExpired:
                code = 'still there after 20 s'
            equal('the second Ctrl-C ends at once with 1', code, 1) or print(said(d))
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
            os.close(hold)


def serving():
    with folder() as d:
        with running(d, 'serve', '--data', 'x', '--listen', '127.0.0.1:0', stop=signal.SIGTERM) as p:
            found = until(lambda: re.search(r'on 127\.0\.0\.1:(\d+), data in x', said(d)), 20)
            if ok('serve says where it listens', found, said(d)):
                with socket.create_connection(('127.0.0.1', int(found.group(1))), 5):
                    pass
                code, out, err = run(d, 'serve', '--data', 'y', '--listen', '127.0.0.1:' + found.group(1))
                ok('a port that is taken is told', code == 1 and found.group(1) in err
                   and 'another port with --listen' in err, (code, err))
        equal('SIGTERM ends it with 0', p.code, 0)
        ok('and it closed clean', 'closed clean' in said(d), said(d))


mistakes()
helps()
components()
linting()
runs()
reader_gone()
forced()
serving()
done()
