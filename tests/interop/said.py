"""said.py - what the Python clients here share: a step is one sentence, told as ok, not ok or skip."""
import sys
import time
import traceback

CODECS = ('none', 'gzip', 'snappy', 'lz4', 'zstd')
EACH = 20  # records per codec and acks
failures = 0


class Skip(Exception):
    pass


def step(name, do, *args):
    global failures
    try:
        do(*args)
        print('ok ' + name, flush=True)
    except Skip as why:
        print('skip %s: %s' % (name, why), flush=True)
    except Exception:
        failures += 1
        print('not ok %s\n    %s' % (name, traceback.format_exc().strip().replace('\n', '\n    ')[-1500:]), flush=True)


def same(what, got, want):
    if got != want:
        raise AssertionError('%s: got %.300r, want %.300r' % (what, got, want))


def until(what, true, seconds=40):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError('%s: not within %d s' % (what, seconds))


def done():
    sys.exit(1 if failures else 0)
