/* Storm.java BOOTSTRAP - Apache Storm in this process: a spout that assigns by itself and knows its own commits by their
 * metadata, and a bolt that produces. Stopped half way and started again, it goes on from its commits. */
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.storm.*;
import org.apache.storm.kafka.bolt.KafkaBolt;
import org.apache.storm.kafka.bolt.mapper.FieldNameBasedTupleToKafkaMapper;
import org.apache.storm.kafka.bolt.selector.DefaultTopicSelector;
import org.apache.storm.kafka.spout.*;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.tuple.*;

public class Storm {
    static final int HALF = 5_000, PARTITIONS = 4;
    static String where;
    static int failures, sent;

    interface Step { void run() throws Exception; }

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

    static void fill() {
        try (KafkaProducer<String, String> p = new KafkaProducer<>(Map.of("bootstrap.servers", (Object) where),
                new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < HALF; i++, sent++)
                p.send(new ProducerRecord<>("in", sent % PARTITIONS, "k", "record " + sent));
        }
    }

    static long committed() throws Exception {
        long sum = 0;
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            for (OffsetAndMetadata o : a.listConsumerGroupOffsets("storm").partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS).values()) {
                sum += o.offset();
                same("the topology's name in the metadata: " + o.metadata(), o.metadata().contains("through"), true);
            }
        }
        return sum;
    }

    static List<String> out() {
        List<String> got = new ArrayList<>();
        try (KafkaConsumer<String, String> c = new KafkaConsumer<>(Map.of("bootstrap.servers", (Object) where),
                new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> all = List.of(new TopicPartition("out", 0));
            c.assign(all);
            c.seekToBeginning(all);
            long end = c.endOffsets(all).get(all.get(0));
            while (c.position(all.get(0)) < end)
                for (ConsumerRecord<String, String> r : c.poll(java.time.Duration.ofMillis(200)))
                    got.add(r.value());
        }
        return got;
    }

    static void through() throws Exception {
        KafkaSpoutConfig<String, String> from = KafkaSpoutConfig.builder(where, "in")
                .setProp(ConsumerConfig.GROUP_ID_CONFIG, "storm").setOffsetCommitPeriodMs(200)
                .setFirstPollOffsetStrategy(FirstPollOffsetStrategy.UNCOMMITTED_EARLIEST)
                .setRecordTranslator(r -> new Values("k", "seen " + r.value()), new Fields("key", "message")).build();
        Properties to = new Properties();
        to.put("bootstrap.servers", where);
        to.put("key.serializer", StringSerializer.class.getName());
        to.put("value.serializer", StringSerializer.class.getName());
        TopologyBuilder b = new TopologyBuilder();
        b.setSpout("from", new KafkaSpout<>(from), 2);
        b.setBolt("to", new KafkaBolt<String, String>().withProducerProperties(to)
                .withTopicSelector(new DefaultTopicSelector("out")).withTupleToKafkaMapper(new FieldNameBasedTupleToKafkaMapper<>()), 1)
                .shuffleGrouping("from");
        org.apache.storm.Config c = new org.apache.storm.Config();
        c.put(org.apache.storm.Config.TOPOLOGY_MAX_SPOUT_PENDING, 1000);
        try (LocalCluster cluster = new LocalCluster();
             LocalCluster.LocalTopology t = cluster.submitTopology("through", c, b.createTopology())) {
            long end = System.nanoTime() + 90_000_000_000L;
            while (committed() < sent) {
                if (System.nanoTime() > end)
                    throw new AssertionError("committed " + committed() + " of " + sent);
                Thread.sleep(100);
            }
        }
        List<String> got = out();
        same("different records", new HashSet<>(got).size(), sent);
        same("records (all were committed before the stop)", got.size(), sent);
    }

    public static void main(String[] args) throws Exception {
        where = args[0];
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            a.createTopics(List.of(new NewTopic("in", PARTITIONS, (short) 1), new NewTopic("out", 1, (short) 1))).all()
                    .get(30, TimeUnit.SECONDS);
        }
        fill();
        step("a topology takes each record through", Storm::through);
        fill();
        step("another run goes on from its commits", Storm::through);
        System.exit(failures == 0 ? 0 : 1);
    }
}
