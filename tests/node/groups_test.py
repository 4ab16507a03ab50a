#!/usr/bin/python3
"""groups_test.py - consumer groups of kcat (librdkafka) and of kafka-python, two clients that share no code, against
`millrace serve`: members share partitions, commit, go on after a restart of the node, and are administered."""
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import done, equal, folder, free_port, have, kcat, listening, ok, running, said, skip, until  # noqa: E402

try:
    from kafka import KafkaConsumer, TopicPartition
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.structs import OffsetAndMetadata
except ImportError as why:
    skip('groups of kcat and kafka-python', 'python3-kafka is not installed (%s)' % why)
    sys.exit(0)

PARTITIONS = 6


class Group:
    """A kcat that is a member of a group, until it is told to go."""

    def __init__(self, port, group, topic, *more):
        self.out = []
        self.told = []
        self.p = subprocess.Popen(
            ['kcat', '-u', '-b', '127.0.0.1:%d' % port, '-G', group, '-X', 'auto.offset.reset=earliest',
             '-X', 'auto.commit.interval.ms=200', '-X', 'session.timeout.ms=6000', '-X', 'heartbeat.interval.ms=300',
             '-f', '%p %o %s\n', *more, topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for pipe, to in ((self.p.stdout, self.out), (self.p.stderr, self.told)):
            threading.Thread(target=self.read, args=(pipe, to), daemon=True).start()

    @staticmethod
    def read(pipe, to):
        for line in pipe:
            to.append(line.strip())

    def assigned(self):
        """Partitions as of the last rebalance; None: there was none."""
        last = [t for t in self.told if 'rebalanced' in t][-1:]
        if not last or 'assigned:' not in last[0]:
            return None
        return {int(w[1:-1]) for w in last[0].split('assigned:')[1].replace(',', ' ').split() if w[0] == '['}

    def stop(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        self.p.wait(30)


def produce(port, topic, texts):
    """Round robin over the partitions, so that each has its part."""
    for p in range(PARTITIONS):
        mine = texts[p::PARTITIONS]
        if mine:
            kcat(port, '-P', '-t', topic, '-p', str(p), stdin='\n'.join(mine).encode() + b'\n')


def values(lines):
    return sorted((line.split(' ', 2)[2] for line in lines), key=int)


def committed(port, group):
    """The sum over all partitions."""
    admin = KafkaAdminClient(bootstrap_servers='127.0.0.1:%d' % port)
    offsets = admin.list_consumer_group_offsets(group)
    admin.close()
    return sum(o.offset for o in offsets.values())


def with_kcat(port):
    texts = [str(i) for i in range(600)]
    produce(port, 'orders', texts)
    a = Group(port, 'kc', 'orders')
    equal('a single member reads everything', until(lambda: len(a.out) >= 600) and values(a.out), texts)
    equal('it has all partitions', a.assigned(), set(range(PARTITIONS)))
    b = Group(port, 'kc', 'orders')
    shared = until(lambda: a.assigned() and b.assigned() and not a.assigned() & b.assigned() and
                   a.assigned() | b.assigned() == set(range(PARTITIONS)), 60)
    ok('two members share the partitions', shared, (a.told, b.told))
    before = len(a.out) + len(b.out)
    produce(port, 'orders', [str(i) for i in range(600, 1200)])
    until(lambda: len(a.out) + len(b.out) >= before + 600, 60)
    equal('each record goes to one of them', values(a.out + b.out), [str(i) for i in range(1200)])
    ok('both have had some', b.out and len(a.out) > 600, (len(a.out), len(b.out)))
    equal('members commit by themselves', until(lambda: committed(port, 'kc') == 1200, 30), True)
    b.stop(signal.SIGKILL)
    ok('the partitions of one that was killed go to the other',
       until(lambda: a.assigned() == set(range(PARTITIONS)), 60), a.told)
    produce(port, 'orders', [str(i) for i in range(1200, 1800)])
    until(lambda: len(a.out) + len(b.out) >= 1800, 60)
    equal('and their records', values(a.out + b.out), [str(i) for i in range(1800)])
    until(lambda: committed(port, 'kc') == 1800, 30)
    a.stop()


def cooperative(port):
    texts = [str(i) for i in range(300)]
    produce(port, 'coop', texts)
    strategy = ['-X', 'partition.assignment.strategy=cooperative-sticky']
    a = Group(port, 'co', 'coop', *strategy)
    until(lambda: len(a.out) >= 300, 60)
    b = Group(port, 'co', 'coop', *strategy)
    ok('a cooperative newcomer gets partitions', until(lambda: any('] ' in t or t.endswith(']') for t in b.told if 'assignment of' in t), 60), b.told)
    produce(port, 'coop', [str(i) for i in range(300, 900)])
    until(lambda: len(a.out) + len(b.out) >= 900, 60)
    until(lambda: b.out, 30)
    equal('cooperative members lose and repeat nothing', values(a.out + b.out), [str(i) for i in range(900)])
    a.stop()
    b.stop()


def consumer(port, group, *topics, **more):
    settings = dict(auto_offset_reset='earliest', enable_auto_commit=False, session_timeout_ms=6000,
                    heartbeat_interval_ms=300, consumer_timeout_ms=500)
    settings.update(more)
    return KafkaConsumer(*topics, bootstrap_servers='127.0.0.1:%d' % port, group_id=group, **settings)


def read(c, count, into=None):
    into = [] if into is None else into
    until(lambda: into.extend(m.value.decode() for m in c) or len(into) >= count, 60)
    return into


class Member(threading.Thread):
    def __init__(self, c):
        super().__init__(daemon=True)
        self.c, self.has, self.got, self.going = c, set(), [], True
        self.start()

    def run(self):
        while self.going:
            for records in self.c.poll(100).values():
                self.got += [r.value.decode() for r in records]
            self.has = {t.partition for t in self.c.assignment()}
        self.c.close()

    def stop(self):
        self.going = False
        self.join(30)


def with_python(port):
    texts = [str(i) for i in range(600)]
    produce(port, 'py', texts)
    c = consumer(port, 'py', 'py')
    equal('kafka-python reads everything', sorted(read(c, 600), key=int), texts)
    c.commit({TopicPartition('py', p): OffsetAndMetadata(100, '{"who": %d}' % p) for p in range(PARTITIONS)})
    equal('it reads back what it committed', {c.committed(TopicPartition('py', p)) for p in range(PARTITIONS)}, {100})
    equal('and the metadata', {c.committed(TopicPartition('py', p), metadata=True).metadata for p in range(PARTITIONS)},
          {'{"who": %d}' % p for p in range(PARTITIONS)})
    admin = KafkaAdminClient(bootstrap_servers='127.0.0.1:%d' % port)
    ok('its group is listed', ('py', 'consumer') in admin.list_consumer_groups(), admin.list_consumer_groups())
    about = admin.describe_consumer_groups(['py'])[0]
    equal('it is described as stable', (about.state, about.protocol_type, len(about.members)), ('Stable', 'consumer', 1))
    equal('with its host and its partitions',
          (about.members[0].client_host, about.members[0].member_assignment.assignment),
          ('/127.0.0.1', [('py', list(range(PARTITIONS)))]))
    equal('offsets of a group are listed', {o.offset for o in admin.list_consumer_group_offsets('py').values()}, {100})
    code = admin.delete_consumer_groups(['py'])[0][1].errno
    equal('a group with members is not deleted', code, 68)
    # poll of kafka-python waits for its rebalance, so each member needs a thread
    members = [Member(c), Member(consumer(port, 'py', 'py'))]

    def shared():
        halves = [m.has for m in members]
        return halves[0] and halves[1] and not halves[0] & halves[1] and len(halves[0] | halves[1]) == PARTITIONS
    ok('two consumers share the partitions', until(shared, 60), [m.has for m in members])
    members[1].stop()
    ok('one that leaves gives its own back', until(lambda: len(members[0].has) == PARTITIONS, 60), members[0].has)
    members[0].stop()
    admin.close()


def restarted(port):
    c = consumer(port, 'py', 'py')
    produce(port, 'py', [str(i) for i in range(600, 660)])
    equal('a consumer goes on where the group stood', sorted(read(c, 60), key=int), [str(i) for i in range(600, 660)])
    c.commit()
    c.close()
    admin = KafkaAdminClient(bootstrap_servers='127.0.0.1:%d' % port)
    equal('an empty group is described', admin.describe_consumer_groups(['py'])[0].state, 'Empty')
    equal('an empty group is deleted', admin.delete_consumer_groups(['py'])[0][1].errno, 0)
    equal('and is gone', (admin.describe_consumer_groups(['py'])[0].state,
                          [g for g, _ in admin.list_consumer_groups() if g == 'py']), ('Dead', []))
    admin.close()


def main():
    with folder() as d:
        port = free_port()
        serve = ['serve', '--data', 'data', '--listen', '127.0.0.1:%d' % port]
        with running(d, *serve) as p:
            if not ok('serve listens', listening(port), said(d)):
                return
            make_topics(port)
            if have('kcat'):
                with_kcat(port)
                cooperative(port)
            else:
                skip('groups of kcat', 'kcat is not installed')
            with_python(port)
            produce(port, 'live', [str(i) for i in range(60)])
            live = Member(consumer(port, 'live', 'live'))
            until(lambda: len(live.got) == 60, 60)
        equal('serve ends with 0 while members wait', p.code, 0)
        with running(d, *serve) as p:
            listening(port)
            produce(port, 'live', [str(i) for i in range(60, 120)])
            until(lambda: len(live.got) >= 120, 60)
            equal('a member that outlives the node reads on', sorted(live.got, key=int), [str(i) for i in range(120)])
            live.stop()
            if have('kcat'):
                produce(port, 'orders', [str(i) for i in range(1800, 2400)])
                a = Group(port, 'kc', 'orders')
                until(lambda: len(a.out) >= 600, 60)
                equal('a new member goes on where the group stood', values(a.out), [str(i) for i in range(1800, 2400)])
                a.stop()
            restarted(port)
        equal('serve ends with 0', p.code, 0)


def make_topics(port):
    admin = KafkaAdminClient(bootstrap_servers='127.0.0.1:%d' % port)
    admin.create_topics([NewTopic(t, PARTITIONS, 1) for t in ('orders', 'coop', 'py', 'live')])
    admin.close()


main()
done()
