#!/usr/bin/env python3
"""broker_kill_test.py - kill -9 of a broker at random moments under an idempotent producer, a transactional one and a group.

The client is broker_kill_client.c on librdkafka; it compares in the end. MR_KILLS rounds (11), MR_SEED repeats the moments.
"""
import os
import random
import signal
import subprocess
import sys
import time

from mill import BUILD, done, folder, free_port, listening, ok, run, running, said, skip

CLIENT = os.path.join(BUILD, 'tests', 'broker_kill_client')
if not os.path.exists(CLIENT):
    skip('kill -9 of a broker', 'its client is not built here: librdkafka and the thread sanitizer do not go together')
    done()
rounds = int(os.environ.get('MR_KILLS', '11'))
seed = int(os.environ.get('MR_SEED', '0')) or random.randrange(1, 1 << 30)
print('MR_SEED=%d MR_KILLS=%d' % (seed, rounds))
r = random.Random(seed)
with folder() as d:
    port = free_port()
    where = '127.0.0.1:%d' % port
    serve = ('serve', '--data', 'data', '--listen', where)
    with running(d, *serve):
        ok('serve listens', listening(port), said(d))
        for topic in ('plain', 'txn'):
            code, out, err = run(d, 'topic', 'create', topic, '--partitions', '3', '--broker', where)
            ok('topic %s is made' % topic, code == 0, out + err)
    told = open(os.path.join(d, 'client.txt'), 'w+', errors='replace')
    client = subprocess.Popen([CLIENT, where], stdin=subprocess.PIPE, stdout=told, stderr=told)
    for i in range(rounds):
        with running(d, *serve, stop=signal.SIGKILL) as p:
            if not ok('serve listens again, round %d' % i, listening(port), said(d)):
                break
            # the moment is the test's input; now and then there is time for a group to come together (3 s)
            time.sleep(r.random() * 1.2 if i % 5 else 4.5 + r.random())
    with running(d, *serve) as p:
        try:
            client.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
            ok('the client comes to its end', False, 'not within 240 s')
        told.seek(0)
        sys.stdout.write(told.read())
        ok('the client ends with 0', client.returncode == 0, 'exit %s' % client.returncode)
    ok('serve closes clean in the end', p.code == 0, said(d))
done()
