"""confluent.py BOOTSTRAP [transactions] - the newest librdkafka, by its Python wheel."""
import sys

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)
from said import CODECS, EACH, Skip, done, same, step, until

WHERE = sys.argv[1]
TRANSACTIONS = 'transactions' in sys.argv
sent = []


ADMIN = AdminClient({'bootstrap.servers': WHERE})


def admin():
    return ADMIN


def consumer(group='none', **more):
    return Consumer({'bootstrap.servers': WHERE, 'group.id': group, 'enable.auto.commit': False,
                     'auto.offset.reset': 'earliest', **{k.replace('_', '.'): v for k, v in more.items()}})


def all_of(futures):
    return {k: f.result(30) for k, f in futures.items()}


def produce(topic, values, partition=0, **more):
    p = Producer({'bootstrap.servers': WHERE, 'linger.ms': 5, **{k.replace('_', '.'): v for k, v in more.items()}})
    told = []
    for i, v in enumerate(values):
        p.produce(topic, v, key=b'k', partition=partition, headers=[('h', b'1')], timestamp=1000 + len(sent) + i,
                  on_delivery=lambda err, m: told.append(err or m.offset()))
    p.flush(30)
    return told


def read_from(at, count, **more):
    c = consumer(**more)
    c.assign([at])
    got = []
    until('%d records' % count, lambda: got.extend(c.consume(500, 0.3)) or len(got) >= count)
    c.close()
    for m in got:
        if m.error():
            raise KafkaException(m.error())
    return got


def metadata():
    m = admin().list_topics(timeout=20)
    same('brokers, topics', (len(m.brokers), len(m.topics)), (1, 0))
    same('cluster', len(admin().describe_cluster().result(20).nodes), 1)


def create():
    all_of(admin().create_topics([NewTopic('codecs', 1, 1), NewTopic('shared', 4, 1), NewTopic('txn', 1, 1)]))
    same('topics', set(admin().list_topics(timeout=20).topics), {'codecs', 'shared', 'txn'})


def codecs():
    ends = consumer()
    for codec in CODECS:
        for acks in ('0', '1', 'all'):
            values = [('%s %s %d ' % (codec, acks, i)).encode() * 20 for i in range(EACH)]
            told = produce('codecs', values, acks=acks, compression_type=codec)
            if acks != '0':
                same('offsets', told, list(range(len(sent), len(sent) + EACH)))
            sent.extend(values)
            until('arrival', lambda: ends.get_watermark_offsets(TopicPartition('codecs', 0))[1] == len(sent))  # acks 0 says nothing
    ends.close()


def read():
    for start in (0, 1, 150, len(sent) - 1):
        got = read_from(TopicPartition('codecs', 0, start), len(sent) - start)
        same('values from %d' % start, [m.value() for m in got], sent[start:])
        same('a record', (got[0].key(), got[0].headers(), got[0].timestamp()[1]), (b'k', [('h', b'1')], 1000 + start))


def offsets():
    c = consumer()
    same('beginning, end', c.get_watermark_offsets(TopicPartition('codecs', 0), timeout=20), (0, len(sent)))
    same('by time', c.offsets_for_times([TopicPartition('codecs', 0, 1042)], timeout=20)[0].offset, 42)
    c.close()
    got = all_of(admin().list_offsets({TopicPartition('codecs', 0): OffsetSpec.latest()}))
    same('latest', [r.offset for r in got.values()], [len(sent)])


def group():
    for partition in range(4):
        produce('shared', [b'%d' % (100 * partition + i) for i in range(100)], partition)
    seen = []
    for want in (200, 400):
        c = consumer('resume')
        c.subscribe(['shared'])
        until('%d records' % want, lambda: seen.extend(c.consume(want - len(seen), 0.3)) or len(seen) >= want)
        c.commit(asynchronous=False)
        c.close()
    same('each record once', sorted(int(m.value()) for m in seen), list(range(400)))


def rebalance(strategy):
    members = [consumer('two-' + strategy, heartbeat_interval_ms=300, session_timeout_ms=6000,
                        partition_assignment_strategy=strategy) for _ in range(2)]
    a, b = members
    for c in members:
        c.subscribe(['shared'])

    def spread():
        for c in members:
            c.poll(0.1)
        return [len(c.assignment()) for c in members]
    until('two of four partitions each', lambda: spread() == [2, 2])
    members.remove(a)
    a.close()
    until('all for the one who stays', lambda: spread() == [4])
    b.close()


def administer():
    a = admin()
    what = ConfigResource(ResourceType.TOPIC, 'short')
    all_of(a.create_topics([NewTopic('short', 1, 1, config={'retention.ms': '3600000'})]))
    same('setting', all_of(a.describe_configs([what]))[what]['retention.ms'].value, '3600000')
    what.add_incremental_config(ConfigEntry('retention.ms', '7200000', incremental_operation=AlterConfigOpType.SET))
    all_of(a.incremental_alter_configs([what]))
    same('setting', all_of(a.describe_configs([what]))[what]['retention.ms'].value, '7200000')
    all_of(a.create_partitions([NewPartitions('short', 3)]))
    until('three partitions', lambda: len(a.list_topics('short', timeout=20).topics['short'].partitions) == 3)
    produce('short', [b'v'] * 10)
    got = all_of(a.delete_records([TopicPartition('short', 0, 4)]))
    same('low watermark', [r.low_watermark for r in got.values()], [4])
    same('groups', 'resume' in [g.group_id for g in a.list_consumer_groups().result(20).valid], True)
    same('members', len(all_of(a.describe_consumer_groups(['resume']))['resume'].members), 0)
    held = all_of(a.list_consumer_group_offsets([ConsumerGroupTopicPartitions('resume')]))['resume']
    same('committed', sum(t.offset for t in held.topic_partitions), 400)
    all_of(a.alter_consumer_group_offsets([ConsumerGroupTopicPartitions('resume', [TopicPartition('shared', 0, 5)])]))
    all_of(a.delete_consumer_groups(['resume']))
    all_of(a.delete_topics(['short']))
    until('the topic is gone', lambda: 'short' not in a.list_topics(timeout=20).topics)


def idempotent():
    told = produce('codecs', [b'once %d' % i for i in range(500)], enable_idempotence=True, batch_num_messages=7)
    same('offsets', told, list(range(len(sent), len(sent) + 500)))


def transactions():
    if not TRANSACTIONS:
        raise Skip('not served yet')
    p = Producer({'bootstrap.servers': WHERE, 'transactional.id': 't-confluent'})
    p.init_transactions(30)
    g = consumer('t-group')
    for end in ('abort', 'commit', 'commit'):
        p.begin_transaction()
        for i in range(10):
            p.produce('txn', end.encode(), partition=0)
        if end == 'abort':
            p.flush(20)
            p.abort_transaction(20)
        else:
            p.send_offsets_to_transaction([TopicPartition('codecs', 0, 7)], g.consumer_group_metadata(), 20)
            p.commit_transaction(20)
    same('committed in the transaction', g.committed([TopicPartition('codecs', 0)], timeout=20)[0].offset, 7)
    g.close()
    at = TopicPartition('txn', 0, 0)
    same('committed', [m.value() for m in read_from(at, 20, isolation_level='read_committed')], [b'commit'] * 20)
    same('all', len(read_from(at, 30, isolation_level='read_uncommitted')), 30)


step('metadata', metadata)
step('create topics', create)
step('codecs x acks', codecs)
step('read from offsets', read)
step('list offsets', offsets)
step('group resumes', group)
step('two members share', rebalance, 'range')
step('two members share, cooperative', rebalance, 'cooperative-sticky')
step('admin', administer)
step('idempotent', idempotent)
step('transactions', transactions)
done()
