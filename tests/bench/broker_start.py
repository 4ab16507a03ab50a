#!/usr/bin/env python3
"""broker_start.py - how long `millrace serve` takes to be ready, and what it holds when nothing happens.

    broker_start.py MILLRACE [--partitions 1000] [--many 10000] [--used 1000] [--connections 10000] [--gigabytes 5]

Ready: ApiVersions is answered. Opened: ListOffsets of every partition is answered; of those with data, each also takes
a record. Memory is resident, in MB. With --only NAME one part is run: few, connections, many, full.
Everything lives in a temporary directory and on 127.0.0.1.
"""
import argparse
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

PER_TOPIC = 50


FULL_BATCH = 64 << 10  # bytes of a batch when a node is filled
TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def varint(n):
    n <<= 1  # none is negative here
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def record_batch(size=0):
    """One record, or as many of 1000 bytes as fill `size`."""
    count = max(1, size // 1000)
    value = os.urandom(990) if size else b"value"
    records = b""
    for i in range(count):
        record = b"\0\0" + varint(i) + b"\1" + varint(len(value)) + value + b"\0"
        records += varint(len(record)) + record
    now = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", 0, count - 1, now, now, -1, -1, -1, count) + records
    return struct.pack(">qiibI", 0, len(rest) + 9, 0, 2, crc32c(rest)) + rest


def text(s):
    return struct.pack(">h", len(s)) + s.encode()


def ask(sock, key, version, body):
    frame = struct.pack(">hhi", key, version, 1) + text("bench") + body
    sock.sendall(struct.pack(">i", len(frame)) + frame)
    size = struct.unpack(">i", take(sock, 4))[0]
    return take(sock, size)[4:]


def take(sock, n):
    out = b""
    while len(out) < n:
        got = sock.recv(n - len(out))
        if not got:
            raise SystemExit("the node closed the connection")
        out += got
    return out


def topics(partitions):
    return [("bench-%d" % i, min(PER_TOPIC, partitions - i * PER_TOPIC)) for i in range((partitions + PER_TOPIC - 1) // PER_TOPIC)]


def create(sock, partitions):
    for name, count in topics(partitions):
        body = struct.pack(">i", 1) + text(name) + struct.pack(">ihii", count, 1, 0, 0) + struct.pack(">ib", 60000, 0)
        answer = ask(sock, 19, 2, body)
        error = struct.unpack(">h", answer[8 + 2 + len(name):8 + 2 + len(name) + 2])[0]
        if error not in (0, 36):
            raise SystemExit("topic %s: error %d" % (name, error))


def produce(sock, partitions, batch, acks=-1):
    for name, count in topics(partitions):
        body = struct.pack(">hhii", -1, acks, 60000, 1) + text(name) + struct.pack(">i", count)
        for i in range(count):
            body += struct.pack(">ii", i, len(batch)) + batch
        ask(sock, 0, 3, body)


def list_all(sock, partitions):
    for name, count in topics(partitions):
        body = struct.pack(">ii", -1, 1) + text(name) + struct.pack(">i", count)
        for i in range(count):
            body += struct.pack(">iq", i, -1)
        ask(sock, 2, 1, body)


class Node:
    def __init__(self, program, data):
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        self.port = probe.getsockname()[1]
        probe.close()
        began = time.monotonic()
        self.process = subprocess.Popen([program, "serve", "--data", data, "--listen", "127.0.0.1:%d" % self.port],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                self.sock = socket.create_connection(("127.0.0.1", self.port))
                ask(self.sock, 18, 0, b"")
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("the node ended with %d" % self.process.returncode)
                time.sleep(0.002)
        self.ready = time.monotonic() - began

    def rss(self):
        for line in open("/proc/%d/status" % self.process.pid):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def end(self, how=signal.SIGTERM):
        self.sock.close()
        self.process.send_signal(how)
        began = time.monotonic()
        self.process.wait()
        return time.monotonic() - began


def timed(what, *args):
    began = time.monotonic()
    what(*args)
    return time.monotonic() - began


def starts(program, data, partitions, used, batch):
    node = Node(program, data)
    made = timed(create, node.sock, partitions)
    wrote = timed(produce, node.sock, used, batch)
    print("%6d partitions: made in %.1f s, a record into each of %d in %.1f s; %.0f MB, %d files"
          % (partitions, made, used, wrote, node.rss(), node.files()))
    closed = node.end()
    node = Node(program, data)
    idle, files = node.rss(), node.files()
    opened = timed(list_all, node.sock, used)
    print("  clean (closed in %.2f s): ready in %.3f s, %.0f MB, %d files; those opened in %.2f s more, then %.0f MB, %d files"
          % (closed, node.ready, idle, files, opened, node.rss(), node.files()))
    produce(node.sock, used, batch)
    node.end(signal.SIGKILL)
    node = Node(program, data)
    opened = timed(list_all, node.sock, used)
    print("  after kill -9: ready in %.3f s; those opened in %.2f s more" % (node.ready, opened))
    node.end()


def fill(sock, partitions, gigabytes):
    batch = record_batch(FULL_BATCH)
    for _ in range(max(1, int(gigabytes * (1 << 30)) // (len(batch) * partitions))):
        produce(sock, partitions, batch)


def drop_cache():
    """So that data comes from the disk; only root may, and then it says so."""
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("1")
        return "cold cache"
    except OSError:
        return "warm cache"


def full(program, data, partitions, gigabytes, batch):
    node = Node(program, data)
    create(node.sock, partitions)
    wrote = timed(fill, node.sock, partitions, gigabytes)
    print("%6d partitions with %.1f GB, written in %.0f s (%.0f MB/s): %.0f MB, %d files"
          % (partitions, gigabytes, wrote, gigabytes * 1024 / wrote, node.rss(), node.files()))
    for how, what in ((signal.SIGTERM, "clean"), (signal.SIGKILL, "after kill -9"), (signal.SIGKILL, "after kill -9, again")):
        produce(node.sock, partitions, batch, acks=1)  # kill -9 leaves them without a sync
        closed = node.end(how)
        cache = drop_cache()
        node = Node(program, data)
        opened = timed(list_all, node.sock, partitions)
        used = timed(produce, node.sock, partitions, batch)
        print("  %s (ended in %.2f s, %s): ready in %.3f s; all read to their ends %.2f s later, a record into each %.2f s after that; %.0f MB"
              % (what, closed, cache, node.ready, opened, used, node.rss()))
    node.end()


def connections(program, data, count):
    node = Node(program, data)
    before = node.rss()
    # Nodes refuse beyond connections_max, of which one is ours already.
    socks = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(count - 1)]
    for sock in socks:
        ask(sock, 18, 0, b"")
    print("%6d idle connections: %.0f MB before, %.0f MB with them" % (count, before, node.rss()))
    for sock in socks:
        sock.sendall(b"\0\1\0\0stalled")
    ask(node.sock, 18, 0, b"")
    print("  the same with a request that does not come on in each: %.0f MB" % node.rss())
    for sock in socks:
        sock.close()
    node.end()


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("program")
    parse.add_argument("--partitions", type=int, default=1000)
    parse.add_argument("--many", type=int, default=10000)
    parse.add_argument("--used", type=int, default=1000, help="partitions of --many that have records")
    parse.add_argument("--connections", type=int, default=10000)
    parse.add_argument("--gigabytes", type=float, default=5, help="in --partitions partitions, for the start with data")
    parse.add_argument("--only", choices=["few", "connections", "many", "full"])
    args = parse.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    batch = record_batch()
    works = {"few": lambda d: starts(args.program, d, args.partitions, args.partitions, batch),
             "connections": lambda d: connections(args.program, d, args.connections),
             "many": lambda d: starts(args.program, d, args.many, args.used, batch),
             "full": lambda d: full(args.program, d, args.partitions, args.gigabytes, batch)}
    for work in [works[args.only]] if args.only else works.values():
        data = tempfile.mkdtemp(prefix="millrace-start-")
        try:
            work(data)
        finally:
            shutil.rmtree(data)


if __name__ == "__main__":
    main()
