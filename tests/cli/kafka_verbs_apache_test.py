#!/usr/bin/env python3
"""kafka_verbs_apache_test.py - the same verbs against Apache Kafka, also over SASL and TLS, which `millrace serve` does not have.

Without java, openssl or the jars (apache.py) all of it is skipped by name.
"""
import os
import time

import kafka_verbs_test as verbs  # first: it says where mill.py is
import apache
from mill import done, equal, folder, ok, skip


def secured(s, sasl, tls):
    """The same answers over SASL and over TLS, and what is said when one is not let in."""
    conf = os.path.join(s.d, 'anna.conf')
    with open(conf, 'w') as f:
        f.write('# a comment\n\nsecurity.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username=anna\nsasl.password=secret\n')
    ways = (('SASL', verbs.Site(s.d, '127.0.0.1:%d' % sasl, ours=False), ['-X', '@' + conf]),
            ('TLS', verbs.Site(s.d, '127.0.0.1:%d' % tls, ours=False),
             ['-X', 'security.protocol=ssl', '-X', 'ssl.ca.location=ca.pem']))
    for name, there, how in ways:
        for verb in (['txn', 'list'], ['group', 'list'], ['configs', 'describe', 'topic', 'orders'], ['topic', 'describe', 'orders']):
            equal('%s over %s answers as without' % (' '.join(verb), name), there.objects(*verb, *how), s.objects(*verb))
        there.must('produce', 'orders', *how, stdin='by anna\n')
        code, out, err = there.run('txn', 'list', '--timeout', '3s')
        ok('without %s the way out is named' % name, code == 1 and 'security.protocol' in err, (code, err))
    there, how = ways[0][1:]
    code, out, err = there.run('txn', 'list', *how, '-X', 'sasl.password=wrong', '--timeout', '3s')
    ok('a wrong password is told, with the settings to look at', code == 1 and 'see -X sasl.mechanism' in err, (code, err))
    bob = [*how, '-X', 'sasl.username=bob']
    code, out, err = there.run('txn', 'list', *bob)
    ok('who may see nothing sees nothing', code == 0 and len(out.splitlines()) == 1, (code, out, err))
    code, out, err = there.run('configs', 'alter', 'broker', 'default', 'log.cleaner.threads=1', *bob)
    ok('who may not is told so, with the way out', code == 1 and 'AUTHORIZATION_FAILED' in err and "have the cluster's owner" in err, (code, err))
    code, out, err = there.run('produce', 'orders', *bob, stdin='x\n')
    ok('a topic that one may not see is not there', code == 1 and 'orders' in err, (code, err))
    there, how = ways[1][1:]
    code, out, err = there.run('txn', 'list', '-X', 'security.protocol=ssl', '-X', 'ssl.ca.location=other.pem', '--timeout', '3s')
    ok('a certificate that another has signed is refused', code == 1 and 'ssl.ca.location' in err, (code, err))


def hanging(s, port):
    """A transaction that its coordinator does not know: as one is left behind by a fault. Checks are off for it."""
    s.must('topic', 'create', 'ghosts')
    equal('a record of no transaction is written', apache.leave_hanging(port, 'ghosts', 4242, int(time.time() * 1000)), 0)
    s.must('produce', 'ghosts', stdin='behind\n')
    equal('what comes behind it is not seen', s.read('ghosts'), [])
    found = s.objects('txn', 'hanging')
    equal('it is found', [(h['topic'], h['partition'], h['producer_id'], h['open_from']) for h in found], [('ghosts', 0, 4242, 0)])
    equal('also when one looks there', s.objects('txn', 'hanging', 'ghosts:0'), found)
    equal('and not elsewhere', s.objects('txn', 'hanging', 'orders'), [])
    equal('abort ends it', s.objects('txn', 'abort', '--partition', 'ghosts:0', '--from', '0'),
          [{'partition': 'ghosts:0', 'done': 'aborted'}])
    equal('what came behind it is seen', [r['value'] for r in s.read('ghosts')], ['behind'])
    equal('and nothing hangs any more', s.objects('txn', 'hanging'), [])


def main():
    if apache.missing():
        skip('the verbs do their work against Apache Kafka', 'not here: ' + apache.missing())
        return
    with folder() as d, apache.running(d) as ports:
        s = verbs.Site(d, '127.0.0.1:%d' % ports['plain'], ours=False)
        for part in verbs.PARTS:
            verbs.timed(part, s)
        hanging(s, ports['plain'])
        secured(s, ports['sasl'], ports['tls'])


main()
done()
