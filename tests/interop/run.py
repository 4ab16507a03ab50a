#!/usr/bin/env python3
"""run.py [--write] [--verbose] [--list] [CLIENT...] - Kafka clients that others wrote, each against a `millrace serve`.

Every client says ok, not ok or skip for each of its steps. A client of which a step is not ok has failed. What is
missing here, a toolchain or a registry, skips its client and says why; so does time that is used up. Nothing of this is
needed to build or to run millrace. The last line is "interop: N passed, N failed, N skipped", counted by clients.

  CLIENT      only these
  --list      say which there are
  --verbose   every step on a line of its own
  --write     tell of the last run of each client in docs/compatibility.md

  MR_INTEROP_SECONDS   time for all of it (default: no limit); clients that it does not suffice for are skipped
  MR_INTEROP_CACHE     where everything fetched lies (~/.cache/millrace-interop)
"""
import concurrent.futures
import datetime
import json
import os
import socket
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'e2e'))
import clients  # noqa: E402
import page  # noqa: E402
from clients import CACHE, CLIENTS, Budget, Missing, ended  # noqa: E402
from mill import ROOT, folder, free_port, listening, running, said  # noqa: E402

CLIENT_S = 300
JOBS = 2  # clients at a time
CLIENT_S_MIN = 30  # with less than that left, a client is not begun
TRANSACTION_APIS = {22, 24, 25, 26, 28}
LAST = os.path.join(CACHE, 'last.json')  # {client: [version, day, rows]}


def served_apis(port):
    """The numbers of the calls that the broker says it has."""
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        request = struct.pack('>hhih', 18, 0, 1, 1) + b'x'
        s.sendall(struct.pack('>i', len(request)) + request)
        f = s.makefile('rb')
        answer = f.read(struct.unpack('>i', f.read(4))[0])
    return {struct.unpack_from('>h', answer, 10 + 6 * i)[0] for i in range((len(answer) - 10) // 6)}


def steps(out):
    """What a client said: a list of [step, result, why]."""
    rows = []
    for line in out.decode(errors='replace').split('\n'):
        if line.startswith(('ok ', 'not ok ')):
            result, step = line.split(' ', 1) if line.startswith('ok ') else ('not ok', line[7:])
            rows.append([step, result, ''])
        elif line.startswith('skip '):
            step, _, why = line[5:].partition(': ')
            rows.append([step, 'skip', why])
        elif rows and line.startswith('    '):
            rows[-1][2] += line.strip() + '\n'
    return rows


def client(command):
    """Runs one client: a list of [step, result, why]."""
    with folder() as d:
        port = free_port()
        where = '127.0.0.1:%d' % port
        with running(d, 'serve', '--data', 'data', '--listen', where) as served:
            if not listening(port):
                return [['serve listens', 'not ok', said(d)]]
            more = ['transactions'] if TRANSACTION_APIS <= served_apis(port) else []
            code, out, err = ended([*command, where, *more], min(CLIENT_S, clients.budget.left()))
            rows = steps(out)
            if code is None and clients.budget.left() <= 0 and not any(r[1] == 'not ok' for r in rows):
                raise Missing('the time is used up: it was stopped after %d steps that were ok' % len(rows))
            if code != 0 and not any(r[1] == 'not ok' for r in rows):
                rows.append(['runs to its end', 'not ok', '%s: %s' % (
                    'not within %d s' % CLIENT_S if code is None else 'exit code %d' % code, err.decode(errors='replace')[-2000:])])
        if served.code != 0:
            rows.append(['serve ends with 0', 'not ok', 'exit code %s: %s' % (served.code, said(d))])
    return rows


def tell(name, rows, seconds, verbose):
    """Prints what came of a client; returns 0 passed, 1 failed, 2 skipped."""
    bad = [r for r in rows if r[1] == 'not ok']
    good = [r for r in rows if r[1] == 'ok']
    if not bad and not good:
        print('skip %s: %s' % (name, rows[0][2] if rows else 'it has no steps'), flush=True)
        return 2
    print('%s %s: %d of %d steps in %.0f s' % ('not ok' if bad else 'ok', name, len(good), len(rows), seconds), flush=True)
    for step, result, why in rows:
        if result == 'not ok' or verbose:
            print('    %s %s%s' % (result, step, ': ' + why if result == 'skip' else ''), flush=True)
        if result == 'not ok':
            print('        ' + why.strip().replace('\n', '\n        '), flush=True)
    return 1 if bad else 0


def main():
    flags = {a for a in sys.argv[1:] if a.startswith('-')}
    wanted = [a for a in sys.argv[1:] if not a.startswith('-')]
    if '--list' in flags or '--help' in flags or flags - {'--write', '--verbose'}:
        sys.exit(__doc__ + '\n' + '\n'.join('  %-16s %s' % c[:2] for c in CLIENTS))
    unknown = set(wanted) - {c[0] for c in CLIENTS}
    if unknown:
        sys.exit('run.py: no client %s; there are: %s' % (', '.join(sorted(unknown)), ' '.join(c[0] for c in CLIENTS)))
    seconds = os.environ.get('MR_INTEROP_SECONDS')
    clients.budget = Budget(float(seconds) if seconds else None)
    os.makedirs(CACHE, exist_ok=True)
    last = {}
    if os.path.exists(LAST):
        with open(LAST) as f:
            last = json.load(f)
    count, lock = [0, 0, 0], threading.Lock()

    def one(name, version, _, make):
        start = time.monotonic()
        try:
            if clients.budget.left() < CLIENT_S_MIN:
                raise Missing('the %s s of MR_INTEROP_SECONDS are used up' % seconds)
            rows = client(make())
            last[name] = [version, datetime.date.today().isoformat(), rows]
        except Missing as why:
            rows = [['all of it', 'skip', str(why)]]
        except RuntimeError as why:
            rows = [['builds', 'not ok', str(why)]]
        with lock:
            count[tell(name, rows, time.monotonic() - start, '--verbose' in flags)] += 1

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:  # they wait more than they work
        for ran in [pool.submit(one, *c) for c in CLIENTS if not wanted or c[0] in wanted]:
            ran.result()
    with open(LAST + '.new', 'w') as f:
        json.dump(last, f)
    os.replace(LAST + '.new', LAST)
    if '--write' in flags:
        with open(os.path.join(ROOT, 'docs', 'compatibility.md'), 'w') as f:
            f.write(page.page(CLIENTS, last))
    print('interop: %d passed, %d failed, %d skipped' % tuple(count))
    sys.exit(1 if count[1] else 0)


main()
