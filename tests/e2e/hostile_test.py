#!/usr/bin/env python3
"""hostile_test.py - bad input from end to end: each case is told clearly, and nothing beside it is lost."""
import json
import os
import signal
import socket
import struct

from mill import done, equal, folder, free_port, have, jsonl, kcat, listening, ok, run, running, said, skip, topic_records, until

LINES = """
pipelines:
  p:
    from: { file: { paths: [ "in*.log" ], start: head } }
    to: { file: { path: out.txt, format: lines } }
"""
JSON = """
pipelines:
  p:
    from: { file: { paths: [ in.jsonl ], start: head } }
    steps: [ { parse: json } ]
    to: { file: out.jsonl }
"""


def write(d, name, data):
    with open(os.path.join(d, name), 'wb' if isinstance(data, bytes) else 'w') as f:
        f.write(data)


def through(name, job, files, env=None):
    """Runs a job once over files; (exit, output bytes or None, stderr, dead letters)."""
    with folder() as d:
        write(d, 'job.yaml', job)
        for n, data in files.items():
            write(d, n, data)
        code, out, err = run(d, 'run', '--once', 'job.yaml', env=env)
        path = os.path.join(d, 'out.txt' if 'out.txt' in job else 'out.jsonl')
        got = open(path, 'rb').read() if os.path.exists(path) else None
        dead = []
        if have('kcat') and os.path.isdir(os.path.join(d, '.millrace/topics')) and \
                any(n.startswith('p.dead') for n in os.listdir(os.path.join(d, '.millrace/topics'))):
            dead = topic_records(d, 'p.dead')
        return code, got, err, dead


def main():
    body = b'a\n' + b'x' * 10_000_000 + b'\nb\n'
    code, got, err, _ = through('long', LINES, {'in.log': body})
    ok('a line of 10 MB stops nothing: the lines around it arrive', code == 0 and got.startswith(b'a\n') and got.endswith(b'b\n'), err)
    for name, line, want in (('NUL bytes', b'a\0b\0', b'a\0b\0'), ('invalid UTF-8', b'\xff\xfe\xc3(', b'\xff\xfe\xc3('),
                             ('CRLF', b'one\r', b'one')):
        code, got, err, _ = through(name, LINES, {'in.log': b'first\n' + line + b'\nlast\n'})
        equal('a line with %s arrives' % name, got, b'first\n' + want + b'\nlast\n') or print(err)
    code, got, err, _ = through('no newline', LINES, {'in.log': b'one\ntwo'})
    equal('a last line without newline arrives', got, b'one\ntwo\n')
    code, got, err, _ = through('empty', LINES, {'in.log': b'', 'in2.log': b'x\n'})
    equal('an empty file is no obstacle', (code, got), (0, b'x\n'))

    deep = b'{"a":' + b'[' * 10000 + b']' * 10000 + b'}\n'
    good = b'{"n":1}\n'
    code, got, err, dead = through('deep', JSON, {'in.jsonl': good + deep + b'{"n":2}\n'})
    equal('JSON 10,000 levels deep: the events around it arrive', (code, got), (0, b'{"n":1}\n{"n":2}\n')) or print(err)
    if have('kcat'):
        ok('JSON 10,000 levels deep: it is in the dead-letter topic with its reason',
           len(dead) == 1 and 'deep' in json.dumps(dead[0].get('headers', '')), [str(x)[:600] for x in dead])
    else:
        skip('the dead-letter topic', 'kcat is not installed')
    big = b'{"n":123456789012345678901234567890,"m":-9223372036854775809,"f":1e400,"g":1.0,"h":0.1}\n'
    code, got, err, _ = through('numbers', JSON.replace('[ { parse: json } ]', "[ { parse: json }, { set: { k: '1' } } ]"), {'in.jsonl': big})
    equal('numbers beyond 64 bits leave as they came', got, big[:-2] + b',"k":1}\n') or print(err)
    code, got, err, dead = through('broken JSON', JSON, {'in.jsonl': b'{"n":1\n{"n":2}\nnot json\n{"n":"\xff"}\n{"n":3}\n'})
    equal('broken JSON does not stop what is right', (code, got), (0, b'{"n":2}\n{"n":3}\n'))

    code, got, err, _ = through('loop', LINES.replace('    to:', '    steps:\n      - lua: "if e.message == \'spin\' then while true do end end"\n    to:'),
                                {'in.log': b'one\nspin\ntwo\n'})
    equal('a script that loops for ever costs its own event only', (code, got), (0, b'one\ntwo\n')) or print(err)

    bomb = 'a: &a [x,x,x,x,x,x,x,x,x,x]\n' + ''.join(
        '%s: &%s [%s]\n' % (chr(98 + i), chr(98 + i), ','.join(['*' + chr(97 + i)] * 10)) for i in range(9))
    for name, text, word in (('a YAML alias bomb', bomb, ''), ('a duplicate key', LINES + '    to: { drop: {} }\n', 'to'),
                             ('a file that is not YAML', '{{{{', ''), ('an unknown option', LINES.replace('paths', 'path'), 'paths')):
        with folder() as d:
            write(d, 'job.yaml', text)
            code, out, err = run(d, 'lint', 'job.yaml', timeout=20)
            ok('%s is refused with its place' % name, code != 0 and 'job.yaml:' in out + err and word in out + err, (code, out, err))

    with folder() as d:  # a file that vanishes, a path that cannot be read
        write(d, 'job.yaml', LINES.replace('"in*.log"', '"in*.log", "in.log/below/*.log"'))
        write(d, 'in.log', 'one\n')
        with running(d, 'run', 'job.yaml') as p:
            until(lambda: os.path.exists(d + '/out.txt') and open(d + '/out.txt').read() == 'one\n')
            os.unlink(d + '/in.log')
            write(d, 'in2.log', 'two\n')
            ok('a file that vanishes does not stop the others', until(lambda: open(d + '/out.txt').read() == 'one\ntwo\n', 20), said(d))
        equal('and the run ends with 0', p.code, 0)

    frames()
    full_disk()
    done()


def frames():
    """Kafka frames of every wrong length: that connection ends, others go on."""
    with folder() as d:
        port = free_port()
        with running(d, 'serve', '--data', 'data', '--listen', '127.0.0.1:%d' % port) as p:
            if not ok('serve listens', listening(port), said(d)):
                return
            good = bytes.fromhex('0012000000000007000262' + '62')
            bad = []
            for length in [-2 ** 31, -1, 0, 1, 3, 7, 2 ** 31 - 1, 101 << 20] + list(range(2, 12)):
                with socket.create_connection(('127.0.0.1', port), 5) as s:
                    s.sendall(struct.pack('>i', length) + good[:max(0, min(length, len(good)))])
                    s.shutdown(socket.SHUT_WR)
                    s.settimeout(10)
                    try:
                        while s.recv(4096):
                            pass
                    except ConnectionResetError:
                        pass
                    except socket.timeout:
                        bad.append(length)
            equal('a frame of a wrong length ends its connection', bad, [])
            with socket.create_connection(('127.0.0.1', port), 5) as s:
                s.settimeout(10)
                s.sendall(struct.pack('>i', len(good)) + good)
                ok('a good frame is still answered', s.recv(4096)[4:8] == bytes.fromhex('00000007'))
        equal('serve ends with 0', p.code, 0)


def full_disk():
    """A file system of 3 MB: what was acknowledged stays, what did not fit is taken up again when there is room."""
    with folder() as d:
        os.mkdir(d + '/small')
        if os.geteuid() != 0 or os.system('mount -t tmpfs -o size=3m millrace-test %s/small 2>/dev/null' % d) != 0:
            return skip('a full disk and its healing', 'mounting a small file system needs root')
        try:
            write(d, 'small/ballast', b'\0' * 2_000_000)
            write(d, 'in.log', ''.join('%06d %s\n' % (i, 'x' * 90) for i in range(20000)))
            write(d, 'job.yaml', LINES.replace('out.txt', 'small/out.txt').replace('"in*.log"', 'in.log'))
            with running(d, 'run', 'job.yaml') as p:
                ok('a full disk is told', until(lambda: 'space' in said(d), 30), said(d))
                ok('a full disk does not end the run', p.poll() is None, said(d))
                os.unlink(d + '/small/ballast')
                want = open(d + '/in.log').read()
                os.system('mount -o remount,size=8m %s/small' % d)
                ok('when there is room again everything arrives, once', until(lambda: open(d + '/small/out.txt').read() == want, 60), said(d))
            equal('and the run ends with 0', p.code, 0)
        finally:
            os.system('umount %s/small' % d)


main()
