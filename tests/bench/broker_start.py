#!/usr/bin/env python3
"""broker_start.py - how long `millrace serve` takes to be ready, and what it holds when nothing happens.

    broker_start.py MILLRACE [--partitions 1000] [--many 10000] [--used 1000] [--connections 10000]

Ready: ApiVersions is answered. Opened: ListOffsets of every partition is answered. Memory is resident, in MB.
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


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record_batch():
    record = struct.pack(">bbbbb", 0, 0, 0, 1, 10) + b"value" + b"\0"
    record = bytes([len(record) << 1]) + record
    rest = struct.pack(">hiqqqhii", 0, 0, 1700000000000, 1700000000000, -1, -1, -1, 1) + record
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


def produce(sock, partitions, batch):
    for name, count in topics(partitions):
        body = struct.pack(">hhii", -1, -1, 60000, 1) + text(name) + struct.pack(">i", count)
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
    args = parse.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    batch = record_batch()
    for work in (lambda d: starts(args.program, d, args.partitions, args.partitions, batch),
                 lambda d: connections(args.program, d, args.connections),
                 lambda d: starts(args.program, d, args.many, args.used, batch)):
        data = tempfile.mkdtemp(prefix="millrace-start-")
        try:
            work(data)
        finally:
            shutil.rmtree(data)


if __name__ == "__main__":
    main()
