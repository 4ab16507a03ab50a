/* Streams.java BOOTSTRAP [transactions] - Kafka Streams, killed with SIGKILL while it works and started again.
 *
 * The topologies run in JVMs of their own ("worker ..."), of which this one kills some. What they wrote is read with
 * read_committed and compared with what plain loops make of the same input. Caches are off, so each input record makes
 * its output records, and one too many or too few shows.
 */
import java.io.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.*;

public class Streams {
    interface Step { void run() throws Exception; }

    static final long WINDOW_MS = 10_000, JOIN_MS = 5_000;
    static final long THEN = (System.currentTimeMillis() - 1_800_000) / WINDOW_MS * WINDOW_MS; // when the input begins: not too old to be kept
    static String where;
    static Path scratch;
    static int failures;

    // ------------------------------------------------------------------ the topologies, in a worker

    static Topology topology(String name) {
        StreamsBuilder b = new StreamsBuilder();
        Consumed<String, String> text = Consumed.with(Serdes.String(), Serdes.String());
        Produced<String, String> out = Produced.with(Serdes.String(), Serdes.String());
        if (name.equals("words"))
            b.stream("lines", text).flatMapValues(v -> List.of(v.split(" "))).groupBy((k, v) -> v, Grouped.with(Serdes.String(), Serdes.String()))
                    .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
                    .toStream().mapValues(n -> "" + n).to("counted", out);
        else if (name.equals("join"))
            b.stream("left", text).join(b.stream("right", text), (l, r) -> l + "+" + r,
                    JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMillis(JOIN_MS), Duration.ofHours(24)),
                    StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()).withStoreName("pairs")).to("joined", out);
        else if (name.equals("windows"))
            b.stream("ticks", text).groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
                    .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMillis(WINDOW_MS)))
                    .count(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("ticked").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
                    .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
                    .toStream((w, n) -> w.key() + "@" + w.window().start()).mapValues(n -> "" + n).to("closed", out);
        else // a table of the latest, joined to by key
            b.stream("orders", text).join(b.table("prices", text), (o, p) -> o + "*" + p).to("priced", out);
        return b.build();
    }

    static void worker(String[] a) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", a[1]);
        p.put("application.id", a[2]);
        p.put("state.dir", a[3]);
        p.put("processing.guarantee", a[5]);
        p.put("num.stream.threads", "2");
        p.put("num.standby.replicas", a[6]);
        p.put("statestore.cache.max.bytes", "0");
        p.put("commit.interval.ms", "100");
        p.put("producer.transaction.timeout.ms", "4000"); // a killed one with another name is waited for
        p.put("replication.factor", "1");
        p.put("default.key.serde", Serdes.StringSerde.class.getName());
        p.put("default.value.serde", Serdes.StringSerde.class.getName());
        p.put("auto.offset.reset", "earliest");
        p.put("session.timeout.ms", "6000"); // those who were killed are to be missed soon
        p.put("heartbeat.interval.ms", "1000");
        KafkaStreams s = new KafkaStreams(topology(a[4]), p);
        s.setUncaughtExceptionHandler(t -> {
            t.printStackTrace(System.out);
            System.out.flush();
            Runtime.getRuntime().halt(3);
            return null;
        });
        s.setStateListener((now, before) -> System.out.println(now));
        s.start();
        while (System.in.read() >= 0) // until the one who started us is gone or says so
            ;
        s.close(Duration.ofSeconds(20));
        System.exit(0);
    }

    static class Worker {
        final Process p;
        final StringBuffer said = new StringBuffer();

        final String app;

        Worker(String app, String dir, String topology, String guarantee, int standbys) throws IOException {
            this.app = app;
            p = new ProcessBuilder("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx300m", "-cp", System.getProperty("java.class.path"),
                    "Streams", "worker", where, app, scratch.resolve(dir).toString(), topology, guarantee, "" + standbys).redirectErrorStream(true).start();
            Thread t = new Thread(() -> {
                try (BufferedReader r = p.inputReader()) {
                    for (String line; (line = r.readLine()) != null;)
                        said.append(line).append('\n');
                } catch (IOException e) {
                    said.append(e);
                }
            });
            t.setDaemon(true);
            t.start();
        }

        void kill() throws InterruptedException {
            p.destroyForcibly().waitFor(); // SIGKILL
        }

        void end() throws Exception {
            p.getOutputStream().close();
            if (!p.waitFor(40, TimeUnit.SECONDS) || p.exitValue() != 0) {
                kill();
                throw new AssertionError("a worker does not end well: " + said);
            }
        }
    }

    // ------------------------------------------------------------------ helpers

    static void step(String name, Step s) {
        String only = System.getenv("STREAMS_ONLY");
        if (only != null && !java.util.regex.Pattern.compile(only).matcher(name).find())
            return;
        try {
            s.run();
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name + "\n    " + t.toString().replace("\n", "\n    "));
            for (StackTraceElement e : t.getStackTrace())
                if (e.getClassName().startsWith("Streams"))
                    System.out.println("    " + e);
        }
    }

    static void same(String what, Object got, Object want) {
        if (!Objects.equals(got, want))
            throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(30, TimeUnit.SECONDS); }

    static KafkaProducer<String, String> producer() {
        return new KafkaProducer<>(Map.of("bootstrap.servers", where, "acks", "all", "linger.ms", "5"), new StringSerializer(), new StringSerializer());
    }

    static void create(int partitions, String... names) throws Exception {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            get(a.createTopics(Stream.of(names).map(n -> new NewTopic(n, partitions, (short) 1)).collect(Collectors.toList())).all());
        }
    }

    /* Where a group is, of where its topics end, for all that anybody sees and for what is decided. */
    static String positions(String group) throws Exception {
        StringBuilder s = new StringBuilder();
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            s.append(get(a.describeConsumerGroups(List.of(group)).all())).append('\n');
            Map<TopicPartition, OffsetAndMetadata> at = get(a.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            List<TopicPartition> all = new ArrayList<>();
            for (TopicDescription d : get(a.describeTopics(get(a.listTopics().names())).allTopicNames()).values())
                d.partitions().forEach(p -> all.add(new TopicPartition(d.name(), p.partition())));
            for (TopicPartition p : all) {
                Map<TopicPartition, OffsetSpec> ask = Map.of(p, OffsetSpec.latest());
                s.append(p + " at " + at.get(p) + " of " + get(a.listOffsets(ask).all()).get(p).offset() + ", decided "
                        + get(a.listOffsets(ask, new ListOffsetsOptions(org.apache.kafka.common.IsolationLevel.READ_COMMITTED)).all()).get(p).offset() + "\n");
            }
        }
        return s.toString();
    }

    /* All that a reader of a topic sees with read_committed, partition after partition in order. */
    static class Output implements AutoCloseable {
        final KafkaConsumer<String, String> c;
        final List<ConsumerRecord<String, String>> records = new ArrayList<>();

        Output(String topic, int partitions) {
            c = new KafkaConsumer<>(Map.of("bootstrap.servers", where, "isolation.level", "read_committed", "auto.offset.reset", "earliest"),
                    new StringDeserializer(), new StringDeserializer());
            c.assign(IntStream.range(0, partitions).mapToObj(i -> new TopicPartition(topic, i)).collect(Collectors.toList()));
            c.seekToBeginning(c.assignment());
        }

        void poll() { c.poll(Duration.ofMillis(100)).forEach(records::add); }

        void until(int count, Worker... w) throws Exception {
            long end = System.nanoTime() + 90_000_000_000L;
            while (records.size() < count) {
                poll();
                for (Worker one : w)
                    if (!one.p.isAlive())
                        throw new AssertionError("a worker died: " + one.said);
                if (System.nanoTime() > end) {
                    StringBuilder why = new StringBuilder(records.size() + " of " + count + " records within 90 s\n");
                    for (Worker one : w)
                        why.append(one.app + " " + one.said + positions(one.app));
                    throw new AssertionError(why);
                }
            }
        }

        /* Nothing more comes. */
        void still(int count) {
            for (int i = 0; i < 15; i++)
                poll();
            same("records", records.size(), count);
        }

        Map<String, List<String>> byKey() {
            return records.stream().collect(Collectors.groupingBy(ConsumerRecord::key, TreeMap::new,
                    Collectors.mapping(ConsumerRecord::value, Collectors.toList())));
        }

        public void close() { c.close(); }
    }

    static void policy(String topic, int partitions, String... settings) throws Exception {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            same(topic + ": partitions", get(a.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size(), partitions);
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            Config c = get(a.describeConfigs(List.of(r)).all()).get(r);
            for (int i = 0; i < settings.length; i += 2)
                same(topic + ": " + settings[i], Stream.of(c.get(settings[i]).value().split(",")).collect(Collectors.toSet()),
                        Stream.of(settings[i + 1].split(",")).collect(Collectors.toSet()));
        }
    }

    // ------------------------------------------------------------------ word count

    static final Map<String, Integer> expected = new TreeMap<>();
    static int words;

    static void lines(int count, long seed) {
        Random random = new Random(seed);
        try (KafkaProducer<String, String> p = producer()) {
            for (int i = 0; i < count; i++) {
                String line = random.ints(6, 0, 120).mapToObj(w -> "word" + w).collect(Collectors.joining(" "));
                p.send(new ProducerRecord<>("lines", i % 4, null, line));
                for (String w : line.split(" ")) {
                    expected.merge(w, 1, Integer::sum);
                    words++;
                }
            }
        }
    }

    static void counted(Output o) {
        o.still(words);
        Map<String, List<String>> want = new TreeMap<>();
        expected.forEach((w, n) -> want.put(w, IntStream.rangeClosed(1, n).mapToObj(i -> "" + i).collect(Collectors.toList())));
        Map<String, List<String>> got = o.byKey();
        for (String w : want.keySet())
            same(w, got.get(w), want.get(w));
        same("words", got.keySet(), want.keySet());
    }

    static void wordCount() throws Exception {
        create(4, "lines");
        create(2, "counted");
        lines(800, 1);
        try (Output o = new Output("counted", 2)) {
            Worker w = new Worker("wc", "a", "words", "exactly_once_v2", 0);
            o.until(words / 3, w);
            w.kill(); // with a transaction open, most likely
            lines(400, 2);
            w = new Worker("wc", "a", "words", "exactly_once_v2", 0);
            o.until(words * 2 / 3, w);
            w.kill();
            lines(400, 3);
            w = new Worker("wc", "another", "words", "exactly_once_v2", 0); // with nothing: all state comes from the changelog
            o.until(words, w);
            w.end();
            counted(o);
        }
        policy("wc-counts-changelog", 4, "cleanup.policy", "compact");
        policy("wc-counts-repartition", 4, "cleanup.policy", "delete", "retention.ms", "-1");
    }

    /* Two workers; one is killed, the other has the state beside it. */
    static void standby() throws Exception {
        try (Output o = new Output("counted", 2)) {
            o.until(words);
            Worker a = new Worker("wc", "a", "words", "exactly_once_v2", 1), b = new Worker("wc", "b", "words", "exactly_once_v2", 1);
            for (int i = 0; i < 4; i++) {
                lines(100, 10 + i);
                o.until(words, a, b);
            }
            a.kill();
            lines(300, 20);
            o.until(words, b);
            b.end();
            counted(o);
        }
    }

    static void atLeastOnce() throws Exception {
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            get(a.deleteTopics(List.of("counted")).all());
        }
        create(2, "counted");
        try (Output o = new Output("counted", 2)) {
            Worker w = new Worker("wc-once", "c", "words", "at_least_once", 0);
            o.until(words / 2, w);
            w.end();
            w = new Worker("wc-once", "c", "words", "at_least_once", 0);
            o.until(words, w);
            w.end();
            counted(o); // stopped and started in order, nothing comes twice
        }
    }

    // ------------------------------------------------------------------ joins and windows

    static void join() throws Exception {
        create(2, "left", "right", "joined");
        Random random = new Random(4);
        List<ProducerRecord<String, String>> left = new ArrayList<>(), right = new ArrayList<>();
        for (int i = 0; i < 1500; i++) {
            left.add(new ProducerRecord<>("left", null, THEN + i * 100 + random.nextInt(90), "k" + random.nextInt(20), "l" + i));
            right.add(new ProducerRecord<>("right", null, THEN + i * 100 + random.nextInt(90), "k" + random.nextInt(20), "r" + i));
        }
        Set<String> want = new TreeSet<>();
        for (ProducerRecord<String, String> l : left)
            for (ProducerRecord<String, String> r : right)
                if (l.key().equals(r.key()) && Math.abs(l.timestamp() - r.timestamp()) <= JOIN_MS)
                    want.add(l.value() + "+" + r.value());
        try (Output o = new Output("joined", 2); KafkaProducer<String, String> p = producer()) {
            Worker w = new Worker("pairs", "d", "join", "exactly_once_v2", 0);
            for (int i = 0; i < 1500; i++) {
                p.send(left.get(i));
                p.send(right.get(i));
                if (i == 700) {
                    p.flush();
                    o.until(want.size() / 4, w);
                    w.kill();
                    w = new Worker("pairs", "d", "join", "exactly_once_v2", 0);
                }
            }
            p.flush();
            o.until(want.size(), w);
            w.end();
            o.still(want.size());
            same("pairs", o.records.stream().map(ConsumerRecord::value).collect(Collectors.toCollection(TreeSet::new)), want);
        }
        policy("pairs-pairs-this-join-store-changelog", 2, "cleanup.policy", "delete");
    }

    static void windows() throws Exception {
        create(2, "ticks", "closed");
        Random random = new Random(5);
        Map<String, List<String>> want = new TreeMap<>();
        try (Output o = new Output("closed", 2); KafkaProducer<String, String> p = producer()) {
            Worker w = new Worker("ticking", "e", "windows", "exactly_once_v2", 0);
            Map<String, Integer> count = new TreeMap<>();
            for (int i = 0; i < 3000; i++) {
                long at = THEN + i * 50;
                String key = "k" + random.nextInt(15);
                p.send(new ProducerRecord<>("ticks", key.hashCode() & 1, at, key, "t"));
                count.merge(key + "@" + at / WINDOW_MS * WINDOW_MS, 1, Integer::sum);
                if (i == 1500) {
                    p.flush();
                    o.until(30, w);
                    w.kill();
                    w = new Worker("ticking", "e", "windows", "exactly_once_v2", 0);
                }
            }
            for (int i = 0; i < 2; i++) // later than all: closes what is open
                p.send(new ProducerRecord<>("ticks", i, THEN + 1_200_000, "end", "t"));
            p.flush();
            count.forEach((k, n) -> want.put(k, List.of("" + n)));
            o.until(want.size(), w);
            w.end();
            o.still(want.size());
            same("windows", o.byKey(), want);
        }
        policy("ticking-ticked-changelog", 2, "cleanup.policy", "compact,delete");
    }

    static void table() throws Exception {
        create(2, "orders", "prices", "priced");
        Map<String, List<String>> want = new TreeMap<>();
        try (Output o = new Output("priced", 2); KafkaProducer<String, String> p = producer()) {
            for (int i = 0; i < 100; i++) {
                p.send(new ProducerRecord<>("prices", null, THEN, "k" + i, "p" + i));
                p.send(new ProducerRecord<>("orders", null, THEN + 1, "k" + i, "o" + i));
                want.put("k" + i, List.of("o" + i + "*p" + i));
            }
            p.flush();
            Worker w = new Worker("priced", "f", "table", "exactly_once_v2", 0);
            o.until(100, w);
            w.end();
            o.still(100);
            same("orders", o.byKey(), want);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("worker")) {
            worker(args);
            return;
        }
        where = args[0];
        scratch = Files.createTempDirectory("streams");
        step("word count: exactly_once_v2, killed with SIGKILL twice, once without its local state: each word counts 1, 2, 3 ... without"
                + " gap or repetition; the changelog is compacted, the repartition topic is kept", Streams::wordCount);
        step("standby: two workers with standby replicas, one is killed, the other goes on; the same check", Streams::standby);
        step("windowed join: stream to stream, exactly_once_v2, killed once: all pairs within 5 s and no other, each once", Streams::join);
        step("windowed count: suppressed until windows close, exactly_once_v2, killed once: one count a window and key, the right one;"
                + " the changelog is compact,delete", Streams::windows);
        step("table join: a stream joined to a table by key", Streams::table);
        step("word count, at_least_once: stopped and started in order: the same check", Streams::atLeastOnce);
        System.exit(failures == 0 ? 0 : 1);
    }
}
