"""writer.py - a log that grows and is rotated beside a test: numbered lines, ten milliseconds of event time apart."""
import os
import random
import threading
import time

BASE = 1760000000000  # ms; a whole second


class Writer(threading.Thread):
    """Appends lines {"n":0,"t":...} until told to stop; renames the file away every few thousand lines."""

    def __init__(self, folder, seed):
        super().__init__()
        self.folder, self.random, self.n, self.stopped = folder, random.Random(seed), 0, False

    def run(self):
        rotated, f, left = 0, None, 0
        while not self.stopped:
            if left <= 0:
                if f:
                    f.close()
                    rotated += 1
                    os.rename(os.path.join(self.folder, 'x.log'), os.path.join(self.folder, 'x.log.%d' % rotated))
                f, left = open(os.path.join(self.folder, 'x.log'), 'ab', buffering=0), self.random.randrange(500, 6000)
            k = self.random.randrange(1, 60)
            block = b''.join(b'{"n":%d,"t":%d}\n' % (i, BASE + i * 10) for i in range(self.n, self.n + k))
            cut = self.random.randrange(len(block))  # a line is not always written whole
            f.write(block[:cut])
            f.write(block[cut:])
            self.n += k
            left -= k
            time.sleep(0.002)  # the writer's pace; what is waited for below is a condition
        f.close()
