/* Spark.java BOOTSTRAP - Apache Spark in this process: a batch query, and a streaming query that is stopped and goes on
 * from its checkpoint. Its driver asks with the Admin client, its executors read by assignment. */
import java.nio.file.Files;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.spark.sql.*;
import org.apache.spark.sql.streaming.*;

public class Spark {
    interface Step { void run() throws Exception; }

    static final int HALF = 20_000, PARTITIONS = 4, KEYS = 10;
    static String where;
    static int failures, sent;
    static SparkSession spark;

    static void step(String name, Step s) {
        try {
            s.run();
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name);
            for (Throwable why = t; why != null; why = why.getCause())
                System.out.println("    " + String.valueOf(why).replace('\n', ' '));
        }
    }

    static void same(String what, Object got, Object want) {
        if (!Objects.equals(got, want))
            throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static void fill(boolean aborted) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", where, "transactional.id", "filler"));
        try (KafkaProducer<String, String> p = new KafkaProducer<>(m, new StringSerializer(), new StringSerializer())) {
            p.initTransactions();
            for (int part = 0; part < 4; part++) {
                p.beginTransaction();
                boolean drop = aborted && part == 1;
                for (int i = 0; i < (drop ? 100 : HALF / (aborted ? 3 : 4) + 1) && (drop || sent < (aborted ? HALF : 2 * HALF)); i++) {
                    p.send(new ProducerRecord<>("in", sent % PARTITIONS, "k" + sent % KEYS, drop ? "never" : "" + sent));
                    if (!drop)
                        sent++;
                }
                if (drop)
                    p.abortTransaction();
                else
                    p.commitTransaction();
            }
        }
    }

    static Dataset<Row> rows(String topic) {
        return spark.read().format("kafka").option("kafka.bootstrap.servers", where).option("subscribe", topic)
                .option("kafka.isolation.level", "read_committed").option("startingOffsets", "earliest")
                .option("endingOffsets", "latest").load();
    }

    static void batch() {
        Dataset<Row> in = rows("in").selectExpr("cast(key as string) k", "cast(cast(value as string) as long) v");
        same("records", in.count(), (long) HALF);
        Row sum = in.agg(functions.sum("v"), functions.countDistinct("v")).first();
        same("their sum", sum.getLong(0), (long) HALF * (HALF - 1) / 2);
        same("different ones", sum.getLong(1), (long) HALF);
        same("keys", in.groupBy("k").count().filter("count = " + HALF / KEYS).count(), (long) KEYS);
    }

    static StreamingQuery begin(String folder) throws Exception {
        return spark.readStream().format("kafka").option("kafka.bootstrap.servers", where).option("subscribe", "in")
                .option("kafka.isolation.level", "read_committed").option("startingOffsets", "earliest")
                .option("maxOffsetsPerTrigger", 3000).load().selectExpr("key", "concat('seen ', cast(value as string)) value")
                .writeStream().format("kafka").option("kafka.bootstrap.servers", where).option("topic", "out")
                .option("checkpointLocation", folder).trigger(Trigger.AvailableNow()).start();
    }

    static void stream() throws Exception {
        String folder = Files.createTempDirectory("spark").toString();
        StreamingQuery q = begin(folder);
        same("ends", q.awaitTermination(120_000), true);
        same("records of the first run", rows("out").count(), (long) HALF);
        fill(false);
        q = begin(folder);
        same("ends", q.awaitTermination(120_000), true);
        Dataset<Row> out = rows("out").selectExpr("cast(value as string) v");
        same("records of both runs", out.count(), 2L * HALF);
        same("different ones", out.distinct().count(), 2L * HALF);
        same("such as were aborted", out.filter("v = 'seen never'").count(), 0L);
    }

    public static void main(String[] args) throws Exception {
        where = args[0];
        try (Admin a = Admin.create(Map.of("bootstrap.servers", where))) {
            a.createTopics(List.of(new NewTopic("in", PARTITIONS, (short) 1), new NewTopic("out", 3, (short) 1))).all()
                    .get(30, TimeUnit.SECONDS);
        }
        fill(true);
        spark = SparkSession.builder().master("local[2]").config("spark.ui.enabled", "false")
                .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
                .config("spark.sql.shuffle.partitions", "2").getOrCreate();
        step("a batch query reads what is committed", Spark::batch);
        step("a streaming query goes on from its checkpoint", Spark::stream);
        spark.stop();
        System.exit(failures == 0 ? 0 : 1);
    }
}
