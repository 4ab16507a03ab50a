#!/usr/bin/python3
"""interop_test.py - kafka-python, a client that shares no code with librdkafka, against `millrace serve`."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import done, equal, folder, free_port, listening, ok, running, said, skip  # noqa: E402

try:
    import kafka
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
    from kafka.errors import KafkaError, TopicAlreadyExistsError
except ImportError as why:
    skip('kafka-python against serve', 'python3-kafka is not installed (%s)' % why)
    sys.exit(0)


def codecs():
    """Those that this machine's kafka-python can write."""
    from kafka import codec
    return [None] + [c for c in ('gzip', 'snappy', 'lz4', 'zstd') if getattr(codec, 'has_' + c, lambda: False)()]


def main():
    with folder() as d:
        port = free_port()
        where = '127.0.0.1:%d' % port
        with running(d, 'serve', '--data', 'data', '--listen', where) as p:
            if not ok('serve listens', listening(port), said(d)):
                return
            admin = KafkaAdminClient(bootstrap_servers=where)
            admin.create_topics([NewTopic('orders', 3, 1, topic_configs={'retention.ms': '86400000'})])
            try:
                admin.create_topics([NewTopic('orders', 3, 1)])
                ok('a topic cannot be made twice', False, 'no error came')
            except TopicAlreadyExistsError:
                ok('a topic cannot be made twice', True)
            equal('the topic is listed', admin.list_topics(), ['orders'])
            answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, 'orders')])[0]
            settings = {row[0]: row[1] for row in answer.resources[0][4]}
            equal('its setting is described', settings.get('retention.ms'), '86400000')
            equal('what is durable says so', settings.get('durability'), 'fsync')

            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, 'orders', configs={'retention.ms': '3600000'})])
            admin.create_partitions({'orders': NewPartitions(4)})
            answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, 'orders')])[0]
            equal('a setting is changed', {row[0]: row[1] for row in answer.resources[0][4]}.get('retention.ms'), '3600000')
            equal('partitions are added', len(admin.describe_topics(['orders'])[0]['partitions']), 4)

            want = []
            for c in codecs():
                producer = KafkaProducer(bootstrap_servers=where, compression_type=c, acks='all', linger_ms=5)
                futures = []
                for i in range(300):
                    value = ('%s %d ' % (c, i)).encode() + b'x' * i
                    want.append((1000 + i, b'k%d' % i, value, [('h', b'1')]))
                    futures.append(producer.send('orders', value, b'k%d' % i, headers=[('h', b'1')], partition=0,
                                                 timestamp_ms=1000 + i))
                producer.flush()
                offsets = [f.get(20).offset for f in futures]
                equal('codec %s: offsets are given in order' % c, offsets, list(range(len(want) - 300, len(want))))
                producer.close()
            def read(offset):
                consumer = KafkaConsumer(bootstrap_servers=where, consumer_timeout_ms=1500, enable_auto_commit=False)
                at = TopicPartition('orders', 0)
                consumer.assign([at])
                consumer.seek(at, offset)
                got = [(m.timestamp, m.key, m.value, [tuple(h) for h in m.headers]) for m in consumer]
                ends = consumer.end_offsets([at])[at], consumer.beginning_offsets([at])[at]
                times = consumer.offsets_for_times({at: 1005})[at]
                consumer.close()
                return got, ends, times
            got, ends, times = read(0)
            equal('everything is read back, in order', got, want)
            equal('end and beginning are known', ends, (len(want), 0))
            equal('an offset is found by time', (times.offset, times.timestamp), (5, 1005))
            for offset in (1, 150, len(want) - 1):
                equal('reading from offset %d' % offset, read(offset)[0], want[offset:])
            admin.delete_topics(['orders'])
            equal('a deleted topic is listed no more', admin.list_topics(), [])
            admin.close()
        equal('serve ends with 0', p.code, 0)


main()
done()
