/* Client.java BOOTSTRAP [transactions] - Apache Kafka's own Java client; one source for 2.8, 3.x and 4.x. */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

public class Client {
    interface Step { void run() throws Exception; }
    static class Skip extends RuntimeException { Skip(String why) { super(why); } }

    static String where;
    static boolean transactions;
    static int failures;
    static final TopicPartition P0 = new TopicPartition("codecs", 0);
    static final List<String> sent = new ArrayList<>();

    static void step(String name, Step s) {
        try {
            s.run();
            System.out.println("ok " + name);
        } catch (Skip why) {
            System.out.println("skip " + name + ": " + why.getMessage());
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name + "\n    " + t);
            for (StackTraceElement e : t.getStackTrace())
                if (e.getClassName().startsWith("Client"))
                    System.out.println("    " + e);
        }
    }

    static void same(String what, Object got, Object want) {
        if (!Objects.equals(got, want))
            throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static void until(String what, Callable<Boolean> isTrue) throws Exception {
        long end = System.nanoTime() + 40_000_000_000L;
        while (!isTrue.call()) {
            if (System.nanoTime() > end)
                throw new AssertionError(what + ": not within 40 s");
            Thread.sleep(20);
        }
    }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(30, TimeUnit.SECONDS); }

    static Map<String, Object> with(String... pairs) {
        Map<String, Object> m = new HashMap<>();
        m.put("bootstrap.servers", where);
        for (int i = 0; i < pairs.length; i += 2)
            m.put(pairs[i], pairs[i + 1]);
        return m;
    }

    static KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(with(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String... pairs) {
        Map<String, Object> m = with(pairs);
        m.put("enable.auto.commit", "false");
        m.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(m, new StringDeserializer(), new StringDeserializer());
    }

    static void metadata() throws Exception {
        try (Admin a = Admin.create(with())) {
            same("nodes", get(a.describeCluster().nodes()).size(), 1);
            same("topics", get(a.listTopics().names()).size(), 0);
        }
    }

    static void create() throws Exception {
        try (Admin a = Admin.create(with())) {
            get(a.createTopics(List.of(new NewTopic("codecs", 1, (short) 1), new NewTopic("shared", 4, (short) 1),
                    new NewTopic("txn", Optional.of(1), Optional.empty()))).all());
            same("topics", get(a.listTopics().names()), Set.of("codecs", "shared", "txn"));
        }
    }

    static void produce() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            for (String acks : List.of("0", "1", "all"))
                try (KafkaProducer<String, String> p = producer("acks", acks, "compression.type", codec,
                        "enable.idempotence", "false", "linger.ms", "5")) {
                    for (int i = 0; i < 20; i++) {
                        String v = (codec + " " + acks + " " + i + " ").repeat(20);
                        p.send(new ProducerRecord<>("codecs", 0, 1000L + sent.size(), "k", v,
                                List.of(new RecordHeader("h", new byte[] {1}))));
                        sent.add(v);
                    }
                    p.flush();
                    try (KafkaConsumer<String, String> c = consumer()) { // acks 0 says nothing: wait for it
                        until("arrival", () -> c.endOffsets(List.of(P0)).get(P0) == sent.size());
                    }
                }
    }

    static List<String> readTo(KafkaConsumer<String, String> c, int count) {
        List<String> got = new ArrayList<>();
        long end = System.nanoTime() + 20_000_000_000L;
        while (got.size() < count && System.nanoTime() < end)
            for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200)))
                got.add(r.value());
        return got;
    }

    static void read() {
        for (int start : new int[] {0, 1, 150, sent.size() - 1})
            try (KafkaConsumer<String, String> c = consumer()) {
                c.assign(List.of(P0));
                c.seek(P0, start);
                same("values from " + start, readTo(c, sent.size() - start), sent.subList(start, sent.size()));
                same("position", c.position(P0), (long) sent.size());
            }
    }

    static void offsets() throws Exception {
        try (KafkaConsumer<String, String> c = consumer(); Admin a = Admin.create(with())) {
            same("beginning", c.beginningOffsets(List.of(P0)).get(P0), 0L);
            same("end", c.endOffsets(List.of(P0)).get(P0), (long) sent.size());
            same("by time", c.offsetsForTimes(Map.of(P0, 1042L)).get(P0).offset(), 42L);
            same("latest", get(a.listOffsets(Map.of(P0, OffsetSpec.latest())).all()).get(P0).offset(), (long) sent.size());
        }
    }

    static void group() {
        try (KafkaProducer<String, String> p = producer()) {
            for (int i = 0; i < 400; i++)
                p.send(new ProducerRecord<>("shared", i % 4, null, "" + i));
        }
        List<String> seen = new ArrayList<>();
        for (int part = 0; part < 2; part++)
            try (KafkaConsumer<String, String> c = consumer("group.id", "resume", "max.poll.records", "50")) {
                c.subscribe(List.of("shared"));
                seen.addAll(readTo(c, 200));
                c.commitSync();
            }
        same("records", seen.size(), 400);
        same("each once", new HashSet<>(seen).size(), 400);
    }

    static void rebalance(String... more) throws Exception {
        String[] pairs = Stream.concat(Stream.of("session.timeout.ms", "6000", "heartbeat.interval.ms", "300"),
                Stream.of(more)).toArray(String[]::new);
        try (KafkaConsumer<String, String> b = consumer(pairs)) {
            try (KafkaConsumer<String, String> a = consumer(pairs)) {
                a.subscribe(List.of("shared"));
                b.subscribe(List.of("shared"));
                until("two of four partitions each", () -> {
                    a.poll(Duration.ofMillis(50));
                    b.poll(Duration.ofMillis(50));
                    return a.assignment().size() == 2 && b.assignment().size() == 2
                            && Collections.disjoint(a.assignment(), b.assignment());
                });
            }
            until("all for the one who stays", () -> {
                b.poll(Duration.ofMillis(50));
                return b.assignment().size() == 4;
            });
        }
    }

    /* By its name, as 4.0 took the old method away and 2.8 has not got the new one. */
    @SuppressWarnings("unchecked")
    static Map<String, TopicDescription> describe(Admin a, String topic) throws Exception {
        DescribeTopicsResult r = a.describeTopics(List.of(topic));
        String name = Stream.of(r.getClass().getMethods()).anyMatch(m -> m.getName().equals("allTopicNames"))
                ? "allTopicNames" : "all";
        return get((KafkaFuture<Map<String, TopicDescription>>) r.getClass().getMethod(name).invoke(r));
    }

    static void admin() throws Exception {
        ConfigResource shortTopic = new ConfigResource(ConfigResource.Type.TOPIC, "short");
        /* acks=all, as before 3.0 it was 1: what is to be deleted is to be durable first. */
        try (Admin a = Admin.create(with()); KafkaProducer<String, String> p = producer("acks", "all")) {
            get(a.createTopics(List.of(new NewTopic("short", 1, (short) 1).configs(Map.of("retention.ms", "3600000")))).all());
            try {
                get(a.createTopics(List.of(new NewTopic("short", 1, (short) 1))).all());
                throw new AssertionError("a topic was made twice");
            } catch (ExecutionException e) {
                same("error", e.getCause().getClass().getSimpleName(), "TopicExistsException");
            }
            same("setting", get(a.describeConfigs(List.of(shortTopic)).all()).get(shortTopic).get("retention.ms").value(), "3600000");
            get(a.incrementalAlterConfigs(Map.of(shortTopic, List.of(new AlterConfigOp(
                    new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all());
            same("setting", get(a.describeConfigs(List.of(shortTopic)).all()).get(shortTopic).get("retention.ms").value(), "7200000");
            for (Node n : get(a.describeCluster().nodes())) {
                ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, n.idString());
                get(a.describeConfigs(List.of(broker)).all());
            }
            get(a.createPartitions(Map.of("short", NewPartitions.increaseTo(3))).all());
            until("three partitions", () -> describe(a, "short").get("short").partitions().size() == 3);
            TopicPartition s0 = new TopicPartition("short", 0);
            for (int i = 0; i < 10; i++)
                p.send(new ProducerRecord<>("short", 0, "k", "v"));
            p.flush();
            same("low watermark", get(a.deleteRecords(Map.of(s0, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(s0)).lowWatermark(), 4L);
            same("earliest", get(a.listOffsets(Map.of(s0, OffsetSpec.earliest())).all()).get(s0).offset(), 4L);

            same("groups", get(a.listConsumerGroups().all()).stream().map(ConsumerGroupListing::groupId)
                    .collect(Collectors.toSet()).containsAll(Set.of("resume", "two")), true);
            same("state", get(a.describeConsumerGroups(List.of("resume")).all()).get("resume").members().size(), 0);
            same("committed", get(a.listConsumerGroupOffsets("resume").partitionsToOffsetAndMetadata()).values().stream()
                    .mapToLong(OffsetAndMetadata::offset).sum(), 400L);
            get(a.alterConsumerGroupOffsets("resume", Map.of(P0, new OffsetAndMetadata(3, "{\"by\":\"me\"}"))).all());
            same("altered", get(a.listConsumerGroupOffsets("resume").partitionsToOffsetAndMetadata()).get(P0).metadata(), "{\"by\":\"me\"}");
            get(a.deleteConsumerGroupOffsets("resume", Set.of(P0)).all());
            get(a.deleteConsumerGroups(List.of("two", "resume")).all());
            get(a.deleteTopics(List.of("short")).all());
            until("the topic is gone", () -> !get(a.listTopics().names()).contains("short"));
        }
    }

    static void idempotent() throws Exception {
        try (KafkaProducer<String, String> p = producer("enable.idempotence", "true", "acks", "all", "batch.size", "200")) {
            List<Future<RecordMetadata>> got = new ArrayList<>();
            for (int i = 0; i < 500; i++)
                got.add(p.send(new ProducerRecord<>("codecs", 0, "k", "once " + i)));
            for (int i = 0; i < 500; i++)
                same("offset", got.get(i).get(20, TimeUnit.SECONDS).offset(), (long) sent.size() + i);
        }
    }

    static void transactions() throws Exception {
        if (!transactions)
            throw new Skip("not served yet");
        try (KafkaProducer<String, String> p = producer("transactional.id", "t-java"); KafkaConsumer<String, String> g = consumer("group.id", "t-group")) {
            p.initTransactions();
            for (boolean commit : new boolean[] {false, true, true}) {
                p.beginTransaction();
                for (int i = 0; i < 10; i++)
                    p.send(new ProducerRecord<>("txn", 0, "k", (commit ? "kept " : "lost ") + i));
                if (commit) {
                    p.sendOffsetsToTransaction(Map.of(P0, new OffsetAndMetadata(7)), g.groupMetadata());
                    p.commitTransaction();
                } else {
                    p.flush();
                    p.abortTransaction();
                }
            }
            same("committed in the transaction", g.committed(Set.of(P0)).get(P0).offset(), 7L);
        }
        TopicPartition at = new TopicPartition("txn", 0);
        for (String level : List.of("read_committed", "read_uncommitted"))
            try (KafkaConsumer<String, String> c = consumer("isolation.level", level)) {
                c.assign(List.of(at));
                c.seek(at, 0);
                int want = level.equals("read_committed") ? 20 : 30;
                List<String> got = readTo(c, want);
                same(level, got.size(), want);
                same("lost ones seen", got.stream().anyMatch(v -> v.startsWith("lost")), want == 30);
                until("the position is past the markers", () -> { c.poll(Duration.ofMillis(50)); return c.position(at) == 33; });
            }
        KafkaProducer<String, String> old = producer("transactional.id", "t-fenced"); // two by one name: the elder is fenced
        old.initTransactions();
        old.beginTransaction();
        old.send(new ProducerRecord<>("txn", 0, "k", "lost"));
        old.flush();
        try (KafkaProducer<String, String> young = producer("transactional.id", "t-fenced")) {
            young.initTransactions();
            try {
                old.commitTransaction();
                throw new AssertionError("the elder could commit");
            } catch (KafkaException e) {
                same("error", Set.of("ProducerFencedException", "InvalidProducerEpochException").contains(e.getClass().getSimpleName()), true);
            }
        }
        old.close(Duration.ofSeconds(1));
    }

    public static void main(String[] args) {
        where = args[0];
        transactions = args.length > 1;
        step("metadata", Client::metadata);
        step("create topics", Client::create);
        step("codecs x acks", Client::produce);
        step("read from offsets", Client::read);
        step("list offsets", Client::offsets);
        step("group resumes", Client::group);
        step("two members share", () -> rebalance("group.id", "two"));
        step("two members share, cooperative", () -> rebalance("group.id", "two-cooperative",
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"));
        step("admin", Client::admin);
        step("idempotent", Client::idempotent);
        step("transactions", Client::transactions);
        System.exit(failures > 0 ? 1 : 0);
    }
}
