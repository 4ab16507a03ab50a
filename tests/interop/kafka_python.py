"""kafka_python.py BOOTSTRAP - kafka-python, old (2.0, Debian 12) and new (3.0): the whole client is Python."""
import sys
import threading

import kafka
import kafka.codec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata
from said import CODECS, EACH, Skip, done, same, step, until

WHERE = sys.argv[1]
TRANSACTIONS = 'transactions' in sys.argv
OLD = kafka.__version__.startswith('2.0')
P0 = TopicPartition('codecs', 0)
sent = []


def consumer(**more):
    return KafkaConsumer(bootstrap_servers=WHERE, enable_auto_commit=False, auto_offset_reset='earliest', **more)


def metadata():
    c = consumer()
    same('topics', c.topics(), set())
    c.close()


def create():
    admin = KafkaAdminClient(bootstrap_servers=WHERE)
    admin.create_topics([NewTopic('codecs', 1, 1), NewTopic('shared', 4, 1), NewTopic('txn', 1, 1)])
    same('topics', set(admin.list_topics()), {'codecs', 'shared', 'txn'})
    admin.close()


def produce():
    ends = consumer()
    for codec in CODECS:
        if codec != 'none' and not getattr(kafka.codec, 'has_' + codec)():
            continue  # Debian's package comes without some of the libraries
        for acks in (0, 1, 'all'):
            more = {} if OLD else {'enable_idempotence': False}
            p = KafkaProducer(bootstrap_servers=WHERE, acks=acks, compression_type=None if codec == 'none' else codec,
                              linger_ms=5, **more)
            values = [('%s %s %d ' % (codec, acks, i)).encode() * 20 for i in range(EACH)]
            futures = [p.send('codecs', v, key=b'k', partition=0, timestamp_ms=1000 + len(sent) + i,
                              headers=[('h', b'1')]) for i, v in enumerate(values)]
            p.flush()
            if acks != 0:
                same('offsets', [f.get(20).offset for f in futures], list(range(len(sent), len(sent) + EACH)))
            p.close()
            sent.extend(values)
            until('arrival', lambda: ends.end_offsets([P0])[P0] == len(sent))  # acks 0 says nothing
    ends.close()


def read():
    for start in (0, 1, len(sent) // 2 + 3, len(sent) - 1):
        c = consumer(consumer_timeout_ms=700)
        c.assign([P0])
        c.seek(P0, start)
        got = list(c)
        same('values from %d' % start, [m.value for m in got], sent[start:])
        same('a record', (got[0].key, list(map(tuple, got[0].headers)), got[0].timestamp),
             (b'k', [('h', b'1')], 1000 + start))
        c.close()


def offsets():
    c = consumer()
    same('beginning', c.beginning_offsets([P0]), {P0: 0})
    same('end', c.end_offsets([P0]), {P0: len(sent)})
    same('by time', c.offsets_for_times({P0: 1042})[P0].offset, 42)
    c.close()


def group():
    p = KafkaProducer(bootstrap_servers=WHERE)
    for i in range(400):
        p.send('shared', b'%d' % i, partition=i % 4)
    p.flush()
    p.close()
    seen = []
    for part in range(2):
        c = consumer(group_id='resume', max_poll_records=50)
        c.subscribe(['shared'])
        want = 200 * (part + 1)

        def polled():
            if len(seen) < want:
                for records in c.poll(200, max_records=want - len(seen)).values():
                    seen.extend(int(r.value) for r in records)
            return len(seen) >= want
        until('200 records', polled)
        c.commit()
        c.close()
    same('each record once', sorted(seen), list(range(400)))


class Member(threading.Thread):
    """A consumer in a thread of its own: kafka-python 2.0 polls without end while its group settles."""
    def __init__(self):
        super().__init__(daemon=True)
        self.has, self.leave = set(), threading.Event()
        self.start()

    def run(self):
        c = consumer(group_id='two', session_timeout_ms=6000, heartbeat_interval_ms=300)
        c.subscribe(['shared'])
        while not self.leave.is_set():
            c.poll(100)
            self.has = c.assignment()
        c.close()


def rebalance():
    a, b = Member(), Member()
    until('two of four partitions each', lambda: len(a.has) == len(b.has) == 2 and not a.has & b.has)
    a.leave.set()
    until('all for the one who stays', lambda: len(b.has) == 4)
    b.leave.set()
    for m in (a, b):
        m.join(20)


def admin():
    a = KafkaAdminClient(bootstrap_servers=WHERE)
    a.create_topics([NewTopic('short', 1, 1, topic_configs={'retention.ms': '3600000'})])
    if OLD:
        from kafka.admin import ConfigResource, ConfigResourceType
        what = ConfigResource(ConfigResourceType.TOPIC, 'short')
        rows = a.describe_configs([what])[0].resources[0][4]
        same('setting', {r[0]: r[1] for r in rows}['retention.ms'], '3600000')
        a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, 'short', configs={'retention.ms': '7200000'})])
        rows = a.describe_configs([what])[0].resources[0][4]
        same('setting', {r[0]: r[1] for r in rows}['retention.ms'], '7200000')
    else:
        from kafka.admin import ConfigResource
        for hours in (1, 2):
            rows = a.describe_configs([ConfigResource('TOPIC', 'short')])
            same('setting', str(hours * 3600000) in str(rows), True)
            a.alter_configs([ConfigResource('TOPIC', 'short', configs={'retention.ms': '7200000'})])
    a.create_partitions({'short': NewPartitions(3)})
    same('partitions', len(a.describe_topics(['short'])[0]['partitions']), 3)
    same('groups', {'resume', 'two'} <= {g[0] if isinstance(g, tuple) else g['group_id'] for g in a.list_consumer_groups()}
         if OLD else 'resume' in str(a.list_groups()), True)
    (a.describe_consumer_groups if OLD else a.describe_groups)(['resume'])
    held = (a.list_consumer_group_offsets('resume') if OLD else a.list_group_offsets('resume'))
    held = held.get('resume', held)
    same('committed', sum(o.offset for o in held.values()), 400)
    (a.delete_consumer_groups if OLD else a.delete_groups)(['two'])
    a.delete_topics(['short'])
    until('the topic is gone', lambda: 'short' not in a.list_topics())
    a.close()


def idempotent():
    if OLD:
        raise Skip('kafka-python 2.0 has no idempotent producer')
    p = KafkaProducer(bootstrap_servers=WHERE, enable_idempotence=True, linger_ms=0)
    got = [p.send('codecs', b'once %d' % i, partition=0) for i in range(200)]
    p.flush()
    same('offsets', [f.get(20).offset for f in got], list(range(len(sent), len(sent) + 200)))
    p.close()


def transactions():
    if OLD:
        raise Skip('kafka-python 2.0 has no transactions')
    if not TRANSACTIONS:
        raise Skip('not served yet')
    p = KafkaProducer(bootstrap_servers=WHERE, transactional_id='t-kp')
    p.init_transactions()
    at = TopicPartition('txn', 0)
    for end in ('abort', 'commit'):
        p.begin_transaction()
        for i in range(10):
            p.send('txn', b'%s %d' % (end.encode(), i), partition=0)
        p.flush()
        if end == 'commit':
            p.send_offsets_to_transaction({P0: OffsetAndMetadata(7, '', -1)}, 't-group')
        getattr(p, end + '_transaction')()
    p.close()
    for level, want in (('read_committed', 10), ('read_uncommitted', 20)):
        c = consumer(isolation_level=level, consumer_timeout_ms=1500)
        c.assign([at])
        c.seek(at, 0)
        same(level, len([m for m in c]), want)
        c.close()
    c = consumer(group_id='t-group')
    same('committed in the transaction', c.committed(P0), 7)
    c.close()


step('metadata', metadata)
step('create topics', create)
step('codecs x acks', produce)
step('read from offsets', read)
step('list offsets', offsets)
step('group resumes', group)
step('two members share', rebalance)
step('admin', admin)
step('idempotent', idempotent)
step('transactions', transactions)
done()
