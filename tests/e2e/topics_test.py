#!/usr/bin/env python3
"""topics_test.py - ten thousand topics are made, used and deleted on a real disk; and what hangs on a topic goes with it.

The client speaks the protocol itself: the bytes are a few, and no client library has an opinion on the way.
"""
import os
import socket
import struct
import sys
import time

from mill import BUILD, MILLRACE, ROOT, done, equal, folder, ok, until

sys.path.insert(0, os.path.join(ROOT, 'tests', 'bench'))
from broker_start import Node, ask, crc32c, record_batch, take, text  # noqa: E402

TOPICS = 10000
AGAIN = 1000  # of them once more, by the same names
AT_ONCE = 100
RSS_MB = 600 if os.path.basename(BUILD).endswith(('asan', 'tsan')) else 150  # sanitizers keep what was freed
FILES = 20000
UNKNOWN = 3


def names(first, count):
    return ['many-%05d' % i for i in range(first, first + count)]


def create(sock, all_names):
    body = struct.pack('>i', len(all_names))
    for name in all_names:
        body += text(name) + struct.pack('>ihii', 1, 1, 0, 0)
    return errors(ask(sock, 19, 2, body + struct.pack('>ib', 60000, 0))[4:], True)


def delete(sock, all_names):
    body = struct.pack('>i', len(all_names)) + b''.join(text(n) for n in all_names) + struct.pack('>i', 60000)
    return errors(ask(sock, 20, 1, body)[4:], False)


def errors(answer, with_text):
    """name -> error code"""
    count, at, got = struct.unpack('>i', answer[:4])[0], 4, {}
    for _ in range(count):
        size = struct.unpack('>h', answer[at:at + 2])[0]
        name = answer[at + 2:at + 2 + size].decode()
        at += 2 + size
        got[name] = struct.unpack('>h', answer[at:at + 2])[0]
        at += 2
        if with_text:
            size = struct.unpack('>h', answer[at:at + 2])[0]
            at += 2 + max(size, 0)
    return got


def produce(sock, all_names, batch, transactional=None):
    body = (text(transactional) if transactional else struct.pack('>h', -1)) + struct.pack('>hii', -1, 60000, len(all_names))
    for name in all_names:
        body += text(name) + struct.pack('>iii', 1, 0, len(batch)) + batch
    answer, got, at = ask(sock, 0, 3, body), {}, 4
    for _ in range(struct.unpack('>i', answer[:4])[0]):
        size = struct.unpack('>h', answer[at:at + 2])[0]
        name = answer[at + 2:at + 2 + size].decode()
        at += 2 + size + 4 + 4  # one partition, its number
        got[name] = struct.unpack('>h', answer[at:at + 2])[0]
        at += 2 + 8 + 8
    return got


def end_of(sock, name):
    answer = ask(sock, 2, 1, struct.pack('>ii', -1, 1) + text(name) + struct.pack('>iiq', 1, 0, -1))
    at = 4 + 2 + len(name) + 4 + 4
    return struct.unpack('>h', answer[at:at + 2])[0], struct.unpack('>q', answer[at + 10:at + 18])[0]


def all_well(got, want_names):
    return sorted(got) == sorted(want_names) and not any(got.values()), {n: e for n, e in got.items() if e}


def ten_thousand():
    with folder() as data:
        node = Node(MILLRACE, data)
        sock, batch, peak = node.sock, record_batch(), 0.0
        for turn, topics in ((1, TOPICS), (2, AGAIN)):
            took = {}
            for what, fn in (('made', lambda n: create(sock, n)), ('written', lambda n: produce(sock, n, batch)),
                             ('deleted', lambda n: delete(sock, n))):
                began, bad = time.monotonic(), {}
                for first in range(0, topics, AT_ONCE):
                    some = names(first, AT_ONCE)
                    fine, wrong = all_well(fn(some), some)
                    if not fine:
                        bad.update(wrong or {'?': 'missing'})
                    peak = max(peak, node.rss()) if first % 1000 == 0 else peak
                took[what] = time.monotonic() - began
                ok('turn %d: %d topics are %s' % (turn, topics, what), not bad, bad)
                if what == 'written':
                    ok('turn %d: %d files at most are open' % (turn, FILES), node.files() < FILES, node.files())
                    equal('turn %d: what was written is there, and nothing older' % turn, end_of(sock, 'many-00471'), (0, 1))
            print('# turn %d: %s' % (turn, ', '.join('%s in %.1f s' % w for w in took.items())))
            left = os.listdir(os.path.join(data, 'topics'))
            equal('turn %d: no file is left over' % turn, left, [])
        print('# %.0f MB at most' % peak)
        ok('memory stays below %d MB' % RSS_MB, peak < RSS_MB, '%.0f MB' % peak)
        closed = node.end()
        ok('it stops within 5 s', closed < 5, '%.1f s' % closed)


def transactional_batch(producer, epoch):
    batch = bytearray(record_batch())
    struct.pack_into('>h', batch, 21, 16)
    struct.pack_into('>qhi', batch, 43, producer, epoch, 0)
    struct.pack_into('>I', batch, 17, crc32c(bytes(batch[21:])))
    return bytes(batch)


def committed(sock, group, topic):
    answer = ask(sock, 9, 1, text(group) + struct.pack('>i', 1) + text(topic) + struct.pack('>ii', 1, 0))
    at = 4 + 2 + len(topic) + 4 + 4
    return struct.unpack('>q', answer[at:at + 8])[0]


def what_hangs_on_a_topic():
    with folder() as data:
        node = Node(MILLRACE, data)
        sock, batch = node.sock, record_batch()
        equal('a topic is made', create(sock, ['t']), {'t': 0})
        produce(sock, ['t'], batch)

        body = text('g') + struct.pack('>i', -1) + text('') + struct.pack('>qi', -1, 1)
        body += text('t') + struct.pack('>iiq', 1, 0, 1) + text('')

        def commit():
            answer = ask(sock, 8, 2, body)
            return struct.unpack('>h', answer[-2:])[0]
        ok('an offset is committed', until(lambda: commit() == 0))
        equal('and is there', committed(sock, 'g', 't'), 1)

        def init():
            answer = ask(sock, 22, 0, text('x') + struct.pack('>i', 60000))
            return struct.unpack('>hqh', answer[4:16])
        got = []
        ok('a producer has its transactional id', until(lambda: got.append(init()) or got[-1][0] == 0))
        _, producer, epoch = got[-1]
        answer = ask(sock, 24, 0, text('x') + struct.pack('>qhi', producer, epoch, 1) + text('t') + struct.pack('>ii', 1, 0))
        equal('a transaction takes the partition', struct.unpack('>h', answer[-2:])[0], 0)
        equal('and a record', produce(sock, ['t'], transactional_batch(producer, epoch), 'x'), {'t': 0})

        reader = socket.create_connection(('127.0.0.1', node.port))
        fetch = struct.pack('>iiiib', -1, 60000, 1, 1 << 20, 0) + struct.pack('>i', 1) + text('t')
        fetch += struct.pack('>iiqi', 1, 0, 2, 1 << 20)
        frame = struct.pack('>hhi', 1, 4, 7) + text('reader') + fetch
        reader.sendall(struct.pack('>i', len(frame)) + frame)
        reader.settimeout(20)
        time.sleep(0.2)  # it has begun to wait, or the next answer comes from before: both must hold

        equal('the topic is deleted, and its name used again at once', (delete(sock, ['t']), create(sock, ['t'])), ({'t': 0}, {'t': 0}))
        began = time.monotonic()
        answer = take(reader, struct.unpack('>i', take(reader, 4))[0])
        at = 4 + 4 + 4 + 2 + 1 + 4 + 4
        error = struct.unpack('>h', answer[at:at + 2])[0]
        ok('who waited for more is told at once', time.monotonic() - began < 5 and error in (UNKNOWN, 1), error)
        equal('the offsets of groups are forgotten', committed(sock, 'g', 't'), -1)
        equal('the new one is empty', end_of(sock, 't'), (0, 0))

        def end_txn():
            answer = ask(sock, 26, 0, text('x') + struct.pack('>qhb', producer, epoch, 1))
            return struct.unpack('>h', answer[4:6])[0]
        equal('the transaction is ended all the same', end_txn(), 0)
        equal('and leaves nothing in the new topic but what is its own', end_of(sock, 't')[0], 0)
        answer = produce(sock, ['t'], batch)
        equal('which takes records', answer, {'t': 0})
        node.end()
        node = Node(MILLRACE, data)
        equal('after a restart the offsets are still forgotten', until_loaded(node.sock), -1)
        node.end()


def until_loaded(sock):
    for _ in range(200):
        answer = ask(sock, 9, 1, text('g') + struct.pack('>i', 1) + text('t') + struct.pack('>ii', 1, 0))
        if struct.unpack('>h', answer[-2:])[0] == 0:
            return committed(sock, 'g', 't')
        time.sleep(0.05)
    return 'still loading'


what_hangs_on_a_topic()
ten_thousand()
done()
