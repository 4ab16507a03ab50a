/* Flink.java BOOTSTRAP - Apache Flink on its own small cluster in this process: a source, a step that fails now and
 * then, and a sink that promises each record once, by transactions that outlive the writer. */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.configuration.*;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.*;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

public class Flink {
    interface Step { void run() throws Exception; }

    static final int RECORDS = 60_000, PARTITIONS = 4;
    static String where;
    static int failures;

    static void step(String name, Step s) {
        try {
            s.run();
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name);
            for (Throwable why = t; why != null; why = why.getCause())
                System.out.println("    " + why);
        }
    }

    static void same(String what, Object got, Object want) {
        if (!Objects.equals(got, want))
            throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static Map<String, Object> with(String... pairs) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", where));
        for (int i = 0; i < pairs.length; i += 2)
            m.put(pairs[i], pairs[i + 1]);
        return m;
    }

    /* Slow enough for several checkpoints; fails twice, each time after some of them. */
    static class Shaky implements MapFunction<String, String> {
        static final AtomicInteger seen = new AtomicInteger(), fails = new AtomicInteger();
        public String map(String s) throws Exception {
            int n = seen.incrementAndGet();
            if (n % 50 == 0)
                Thread.sleep(2);
            if ((n >= RECORDS / 3 && fails.compareAndSet(0, 1)) || (n >= RECORDS * 2 / 3 && fails.compareAndSet(1, 2)))
                throw new IllegalStateException("a failure for the test");
            return "seen " + s;
        }
    }

    static void fill() throws Exception {
        try (Admin a = Admin.create(with())) {
            a.createTopics(List.of(new NewTopic("in", PARTITIONS, (short) 1), new NewTopic("out-POOLING", 2, (short) 1),
                    new NewTopic("out-INCREMENTING", 2, (short) 1))).all().get(30, TimeUnit.SECONDS);
        }
        try (KafkaProducer<String, String> p = new KafkaProducer<>(with(), new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < RECORDS; i++)
                p.send(new ProducerRecord<>("in", i % PARTITIONS, null, "record " + i));
        }
    }

    static List<String> committed(String topic) {
        List<String> got = new ArrayList<>();
        try (KafkaConsumer<String, String> c = new KafkaConsumer<>(with("isolation.level", "read_committed"),
                new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> all = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> end = c.endOffsets(all);
            long late = System.nanoTime() + 60_000_000_000L;
            while (all.stream().anyMatch(p -> c.position(p) < end.get(p))) {
                if (System.nanoTime() > late)
                    throw new AssertionError("the end of " + topic + " is not reached");
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200)))
                    got.add(r.value());
            }
        }
        return got;
    }

    static void exactlyOnce(TransactionNamingStrategy naming) throws Exception {
        Shaky.seen.set(0);
        Shaky.fails.set(0);
        Configuration c = new Configuration();
        c.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        c.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 3);
        c.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(200));
        c.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + java.nio.file.Files.createTempDirectory("flink"));
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, c);
        env.enableCheckpointing(300);
        KafkaSource<String> from = KafkaSource.<String>builder().setBootstrapServers(where).setTopics("in")
                .setGroupId("flink-" + naming).setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest()).setValueOnlyDeserializer(new SimpleStringSchema()).build();
        KafkaSink<String> to = KafkaSink.<String>builder().setBootstrapServers(where)
                .setRecordSerializer(KafkaRecordSerializationSchema.builder().setTopic("out-" + naming)
                        .setValueSerializationSchema(new SimpleStringSchema()).build())
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE).setTransactionalIdPrefix("flink-" + naming)
                .setTransactionNamingStrategy(naming).build();
        env.fromSource(from, WatermarkStrategy.noWatermarks(), "in").map(new Shaky()).sinkTo(to);
        env.executeAsync("once").getJobExecutionResult().get(150, TimeUnit.SECONDS);
        same("failures on the way", Shaky.fails.get(), 2);
        List<String> got = committed("out-" + naming);
        same("records", got.size(), RECORDS);
        same("different records", new HashSet<>(got).size(), RECORDS);
        try (Admin a = Admin.create(with())) {
            long sum = 0;
            for (OffsetAndMetadata o : a.listConsumerGroupOffsets("flink-" + naming).partitionsToOffsetAndMetadata()
                    .get(30, TimeUnit.SECONDS).values())
                sum += o.offset();
            /* commits are for people to see; the last one may be cut off by the job's end */
            same("offsets were committed, none beyond the end: " + sum, sum > 0 && sum <= RECORDS, true);
            same("transactions left open", a.listTransactions(new ListTransactionsOptions()
                    .filterStates(List.of(TransactionState.ONGOING))).all().get(30, TimeUnit.SECONDS).size(), 0);
        }
    }

    public static void main(String[] args) {
        where = args[0];
        step("topics are filled", Flink::fill);
        step("exactly once over two failures, ids counted up", () -> exactlyOnce(TransactionNamingStrategy.INCREMENTING));
        step("exactly once over two failures, ids from a pool", () -> exactlyOnce(TransactionNamingStrategy.POOLING));
        System.exit(failures == 0 ? 0 : 1);
    }
}
