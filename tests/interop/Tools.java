/* Tools.java BOOTSTRAP [transactions] - Apache Kafka's own command line tools, each called by its main() in this one JVM.
 *
 * A step's name is "the tool's script: what was checked". What a tool prints is read; that it ends with 0 is not enough.
 */
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    interface Step { void run() throws Exception; }
    static class Ended extends Error { }

    static final PrintStream terminal = System.out;
    static String where;
    static Path scratch;
    static int failures;
    static volatile int ended;  // what the last tool ended with
    static volatile int printed; // bytes that it printed until then, -1: it has not ended
    static ByteArrayOutputStream got;
    static final List<Runnable> hooks = new CopyOnWriteArrayList<>(); // what a tool asked to have run when it ends

    static void step(String name, Step s) {
        try {
            long start = System.nanoTime();
            s.run();
            terminal.println("ok " + name);
            if (System.getenv("TOOLS_SAY") != null)
                terminal.printf("    in %.1f s%n", (System.nanoTime() - start) / 1e9);
        } catch (Throwable t) {
            failures++;
            terminal.println("not ok " + name + "\n    " + t.toString().replace("\n", "\n    "));
            for (StackTraceElement e : t.getStackTrace())
                if (e.getClassName().startsWith("Tools"))
                    terminal.println("    " + e);
        }
        terminal.flush();
    }

    static void check(boolean truth, String what, String seen) {
        if (!truth)
            throw new AssertionError(what + ": it printed:\n" + seen);
    }

    /* What a tool prints, of its output and its errors. `line` is the class without its package and the arguments;
     * $B is --bootstrap-server and the broker. The tool ends with `ended`. */
    static String any(String line) throws Exception { return any(line, 60, false); }

    static String any(String line, int seconds, boolean endless) throws Exception {
        long begun = System.nanoTime();
        List<String> words = new ArrayList<>(List.of(line.replace("$B", "--bootstrap-server " + where).split(" +")));
        String name = words.remove(0);
        Class<?> tool = Class.forName(name.equals("ConfigCommand") ? "kafka.admin.ConfigCommand" : "org.apache.kafka.tools." + name);
        got = new ByteArrayOutputStream();
        PrintStream into = new PrintStream(got, true), err = System.err;
        String text;
        ended = 0;
        printed = -1;
        System.setOut(into);
        System.setErr(into);
        FutureTask<Void> work = new FutureTask<>(() -> {
            if (name.startsWith("Verifiable")) // which says the most in a hook of the JVM
                ended = child(tool, words, into);
            else
                tool.getMethod("main", String[].class).invoke(null, (Object) words.toArray(new String[0]));
            return null;
        });
        Thread t = new Thread(work);
        t.setDaemon(true);
        try {
            t.start();
            work.get(seconds, TimeUnit.SECONDS);
            if (endless) // in threads of its own
                Thread.sleep(seconds * 1000L);
        } catch (ExecutionException e) {
            if (printed < 0)
                throw new AssertionError(line + ": " + e.getCause().getCause() + "\n" + got);
        } catch (TimeoutException e) {
            if (!endless)
                throw new AssertionError(line + " hangs, it printed:\n" + got);
        } finally {
            int end = printed < 0 ? got.size() : printed, start = got.size();
            for (Runnable h : hooks)
                h.run();
            hooks.clear();
            byte[] all = got.toByteArray();
            text = new String(all, 0, end, StandardCharsets.UTF_8) + new String(all, start, all.length - start, StandardCharsets.UTF_8);
            System.setOut(terminal);
            System.setErr(err);
        }
        if (System.getenv("TOOLS_SAY") != null)
            terminal.printf("    > %s [%d], %.1f s%n%s%n", line, ended, (System.nanoTime() - begun) / 1e9, text);
        return text;
    }

    static int child(Class<?> tool, List<String> words, PrintStream into) throws Exception {
        List<String> all = new ArrayList<>(List.of("java", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), tool.getName()));
        all.addAll(words);
        Process p = new ProcessBuilder(all).redirectErrorStream(true).start();
        p.getInputStream().transferTo(into);
        return p.waitFor();
    }

    /* A tool may catch what ends it here and end once more: the first time counts. */
    static void end(int code, String why) {
        if (printed < 0) {
            if (why != null)
                System.err.println(why);
            System.out.flush();
            ended = code;
            printed = got.size();
        }
        throw new Ended();
    }

    static String run(String line) throws Exception {
        String got = any(line);
        check(ended == 0, line + " ended with " + ended, got);
        return got;
    }

    /* Runs it; it is to end with 0 and print a match for each pattern. */
    static String says(String line, String... patterns) throws Exception {
        String got = run(line);
        for (String p : patterns)
            check(Pattern.compile(p, Pattern.MULTILINE).matcher(got).find(), line + ": no " + p, got);
        return got;
    }

    /* Runs it; it is to fail, or to print the error, and in less than `seconds`. */
    static void refuses(String line, String pattern) throws Exception {
        long start = System.nanoTime();
        String got = any(line);
        check(Pattern.compile(pattern).matcher(got).find(), line + ": no " + pattern, got);
        check((System.nanoTime() - start) / 1e9 < 20, line + " is slow to fail", got);
    }

    static String file(String name, String text) throws IOException {
        return Files.writeString(scratch.resolve(name), text).toString();
    }

    static void produce(String topic, int partition, int count, String... more) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", where, "acks", "all"));
        for (int i = 0; i < more.length; i += 2)
            m.put(more[i], more[i + 1]);
        try (KafkaProducer<String, String> p = new KafkaProducer<>(m, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++)
                p.send(new ProducerRecord<>(topic, partition, 1_700_000_000_000L + i * 1000L, "k" + i, "v" + i));
        }
    }

    static KafkaConsumer<String, String> member(String group, String... topics) {
        KafkaConsumer<String, String> c = new KafkaConsumer<>(Map.of("bootstrap.servers", where, "group.id", group,
                "auto.offset.reset", "earliest", "enable.auto.commit", "false"), new StringDeserializer(), new StringDeserializer());
        c.subscribe(List.of(topics));
        return c;
    }

    static void commitAll(String group, String topic, int count) {
        try (KafkaConsumer<String, String> c = member(group, topic)) {
            long end = System.nanoTime() + 30_000_000_000L;
            for (int got = 0; got < count;) {
                got += c.poll(java.time.Duration.ofMillis(100)).count();
                if (System.nanoTime() > end)
                    throw new AssertionError(group + " read " + got + " of " + count);
            }
            c.commitSync();
        }
    }

    // ------------------------------------------------------------------ the cluster

    static void versions() throws Exception {
        String got = says("BrokerApiVersionsCommand $B", "id: 1 ", "Produce\\(0\\): 0 to 13 \\[usable: 13\\]", "Fetch\\(1\\): 4 to 18");
        check(!Pattern.compile("usable: UNSUPPORTED|NONE").matcher(got).find(), "an API has no version in common", got);
    }

    static void cluster() throws Exception {
        says("ClusterTool cluster-id $B", "Cluster ID: [A-Za-z0-9_-]{22}");
        says("ClusterTool list-endpoints $B", "127.0.0.1 +" + where.split(":")[1] + ".* unfenced +broker");
        refuses("ClusterTool unregister $B --id 1", "does not support|Unsupported");
    }

    static void quorum() throws Exception {
        says("MetadataQuorumCommand $B describe --status", "LeaderId: +1", "CurrentVoters: +\\[.*\"id\": 1");
        says("MetadataQuorumCommand $B describe --replication", "^1\\s.*Leader");
    }

    static void features() throws Exception {
        run("FeatureCommand $B describe");
    }

    // ------------------------------------------------------------------ topics

    static void topics() throws Exception {
        says("TopicCommand $B --create --topic alpha --partitions 3 --replication-factor 1 --config retention.ms=360000", "Created topic alpha");
        says("TopicCommand $B --create --topic alpha --if-not-exists");
        refuses("TopicCommand $B --create --topic alpha", "exists already|already exists");
        refuses("TopicCommand $B --create --topic no/name", "'no/name' is not valid");
        refuses("TopicCommand $B --create --topic beta --replication-factor 2", "replication factor");
        says("TopicCommand $B --create --topic beta --replica-assignment 1,1", "Created topic beta");
        String all = says("TopicCommand $B --list", "^alpha$", "^beta$");
        check(all.trim().split("\\s+").length == 2, "two topics", all);
        String got = says("TopicCommand $B --describe --topic alpha", "PartitionCount: 3\\s+ReplicationFactor: 1\\s+Configs: .*retention.ms=360000",
                "Partition: 2\\s+Leader: 1\\s+Replicas: 1\\s+Isr: 1");
        Matcher id = Pattern.compile("TopicId: (\\S+)").matcher(got);
        check(id.find(), "an id", got);
        says("TopicCommand $B --describe --topic-id " + id.group(1), "Topic: alpha");
        says("TopicCommand $B --describe --topic al.*", "Topic: alpha");
        got = says("TopicCommand $B --describe --topics-with-overrides", "Topic: alpha");
        check(!got.contains("beta"), "beta has no overrides", got);
        for (String none : List.of("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"))
            check(run("TopicCommand $B --describe " + none).isBlank(), none, "something");
        says("TopicCommand $B --describe --at-min-isr-partitions", "Topic: alpha\\s+Partition: 0");
        run("TopicCommand $B --alter --topic alpha --partitions 5");
        says("TopicCommand $B --describe --topic alpha", "PartitionCount: 5");
        refuses("TopicCommand $B --alter --topic alpha --partitions 2", "has 5 partitions");
        run("TopicCommand $B --delete --topic beta");
        refuses("TopicCommand $B --delete --topic beta", "does not exist");
        check(run("TopicCommand $B --list --exclude-internal").trim().equals("alpha"), "alpha stays", "another");
    }

    static void topicConfigs() throws Exception {
        String topic = "ConfigCommand $B --entity-type topics --entity-name alpha ";
        run(topic + "--alter --add-config cleanup.policy=[compact,delete],max.message.bytes=2000000");
        says(topic + "--describe", "cleanup.policy=compact,delete ", "max.message.bytes=2000000 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000");
        says(topic + "--describe --all", "retention.ms=360000", "segment.bytes=1073741824 .*DEFAULT_CONFIG:log.segment.bytes=1073741824");
        run(topic + "--alter --delete-config cleanup.policy");
        String got = says(topic + "--describe", "max.message.bytes=2000000");
        check(!got.contains("cleanup.policy"), "it is gone", got);
        refuses(topic + "--alter --add-config retention.ms=soon", "InvalidConfigurationException|Invalid");
        refuses(topic + "--alter --add-config no.such=1", "InvalidConfigurationException|Invalid|Unknown");
        run(topic + "--alter --add-config-file " + file("topic.properties", "retention.bytes=123456\n"));
        says("ConfigCommand $B --entity-type topics --describe", "alpha", "retention.bytes=123456");
        refuses("ConfigCommand $B --entity-type topics --entity-name nothere --describe", "doesn't exist");
    }

    static void brokerConfigs() throws Exception {
        String one = "ConfigCommand $B --entity-type brokers --entity-name 1 ", all = "ConfigCommand $B --entity-type brokers --entity-default ";
        says(one + "--describe --all", "log.retention.ms=604800000", "message.max.bytes=1048588");
        run(one + "--alter --add-config log.retention.ms=7200000");
        says(one + "--describe", "log.retention.ms=7200000 .*DYNAMIC_BROKER_CONFIG:log.retention.ms=7200000");
        run("TopicCommand $B --create --topic heir");
        says("ConfigCommand $B --entity-type topics --entity-name heir --describe --all", "^  retention.ms=7200000");
        run(one + "--alter --delete-config log.retention.ms");
        says("ConfigCommand $B --entity-type topics --entity-name heir --describe --all", "^  retention.ms=604800000");
        run(all + "--alter --add-config log.segment.bytes=104857600");
        says(all + "--describe", "log.segment.bytes=104857600");
        says("ConfigCommand $B --entity-type topics --entity-name heir --describe --all", "^  segment.bytes=104857600");
        run(all + "--alter --delete-config log.segment.bytes");
        refuses(one + "--alter --add-config broker.id=7", "Invalid|Cannot|read-only|InvalidRequest");
        run("TopicCommand $B --delete --topic heir");
    }

    static void otherConfigs() throws Exception {
        for (String quotas : List.of("clients", "users"))
            refuses("ConfigCommand $B --entity-type " + quotas + " --entity-default --describe", "does not support DESCRIBE_CLIENT_QUOTAS");
        for (String none : List.of("groups", "client-metrics"))
            check(run("ConfigCommand $B --entity-type " + none + " --describe").isBlank(), "there are none", none);
    }

    // ------------------------------------------------------------------ records

    static void console() throws Exception {
        run("TopicCommand $B --create --topic talk --partitions 1");
        InputStream keyboard = System.in;
        for (String codec : List.of("none", "gzip", "zstd")) {
            System.setIn(new ByteArrayInputStream(("h:" + codec + "\tk1\tone " + codec + "\nh:2\tk2\ttwo " + codec + "\n").getBytes()));
            run("ConsoleProducer $B --topic talk --compression-codec " + codec
                    + " --reader-property parse.key=true --reader-property parse.headers=true");
        }
        System.setIn(new ByteArrayInputStream("plain\n".getBytes()));
        run("ConsoleProducer $B --topic talk --sync --command-property acks=1");
        System.setIn(keyboard);
        String form = " --formatter-property print.key=true --formatter-property print.headers=true --formatter-property print.offset=true";
        says("consumer.ConsoleConsumer $B --topic talk --from-beginning --max-messages 7" + form, "^Offset:0\\s+h:none\\s+k1\\s+one none$",
                "^Offset:3\\s+h:2\\s+k2\\s+two gzip$", "^Offset:5\\s+h:2\\s+k2\\s+two zstd$", "^Offset:6\\s+NO_HEADERS\\s+null\\s+plain$",
                "Processed a total of 7 messages");
        String got = says("consumer.ConsoleConsumer $B --topic talk --partition 0 --offset 5 --timeout-ms 1500" + form, "Processed a total of 2 messages");
        check(!got.contains("Offset:4"), "from offset 5", got);
        says("consumer.ConsoleConsumer $B --topic talk --group listeners --from-beginning --max-messages 4 --isolation-level read_committed",
                "Processed a total of 4 messages");
        says("consumer.ConsoleConsumer $B --topic talk --group listeners --timeout-ms 5000", "Processed a total of 3 messages", "plain");
        says("consumer.ConsoleConsumer $B --include ta.* --from-beginning --max-messages 7", "Processed a total of 7 messages");
        says("consumer.ConsoleConsumer $B --topic __consumer_offsets --from-beginning --timeout-ms 4000 --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter",
                "listeners.*\"offset\":7");
    }

    static void offsets() throws Exception {
        run("TopicCommand $B --create --topic count --partitions 2");
        produce("count", 0, 10);
        produce("count", 1, 20);
        says("GetOffsetShell $B --topic count", "^count:0:10$", "^count:1:20$");
        for (String way : List.of("-1", "latest"))
            says("GetOffsetShell $B --topic count --time " + way, "^count:0:10$", "^count:1:20$");
        for (String way : List.of("-2", "earliest", "earliest-local"))
            says("GetOffsetShell $B --topic count --time " + way, "^count:0:0$", "^count:1:0$");
        says("GetOffsetShell $B --topic count --time max-timestamp", "^count:0:9$", "^count:1:19$");
        says("GetOffsetShell $B --topic count --time 1700000004500", "^count:0:5$", "^count:1:5$");
        check(run("GetOffsetShell $B --topic count --time 1800000000000").isBlank(), "nothing is so late", "something");
        run("GetOffsetShell $B --topic count --time latest-tiered");
        String got = says("GetOffsetShell $B --topic-partitions count:1,talk:0-1 --exclude-internal-topics", "^count:1:20$", "^talk:0:7$");
        check(!got.contains("count:0"), "partition 0 was not asked for", got);
    }

    static void deleteRecords() throws Exception {
        String f = file("delete.json", "{\"version\":1,\"partitions\":[{\"topic\":\"count\",\"partition\":0,\"offset\":4},"
                + "{\"topic\":\"count\",\"partition\":1,\"offset\":-1}]}");
        says("DeleteRecordsCommand $B --offset-json-file " + f, "partition: count-0\\s+low_watermark: 4", "partition: count-1\\s+low_watermark: 20");
        says("GetOffsetShell $B --topic count --time earliest", "^count:0:4$", "^count:1:20$");
        f = file("delete.json", "{\"version\":1,\"partitions\":[{\"topic\":\"count\",\"partition\":0,\"offset\":400}]}");
        says("DeleteRecordsCommand $B --offset-json-file " + f, "partition: count-0\\s+error: .*OffsetOutOfRange");
    }

    static void logDirs() throws Exception {
        String got = says("LogDirsCommand $B --describe --topic-list count,talk", "\"partition\":\"talk-0\",\"size\":[1-9]", "\"error\":null");
        check(!got.contains("alpha"), "alpha was not asked for", got);
        says("LogDirsCommand $B --describe --broker-list 1", "\"partition\":\"alpha-4\"");
    }

    // ------------------------------------------------------------------ groups

    static void groups() throws Exception {
        String g = "consumer.group.ConsumerGroupCommand $B ", r = g + "--group readers ";
        run("TopicCommand $B --create --topic read --partitions 2");
        produce("read", 0, 30);
        produce("read", 1, 10);
        commitAll("readers", "read", 40);
        says(g + "--list", "^readers$", "^listeners$");
        says(g + "--list --state", "readers\\s+Empty");
        says(g + "--list --state Empty --type", "readers\\s+Classic\\s+Empty");
        says(r + "--describe", "readers\\s+read\\s+0\\s+30\\s+30\\s+0", "readers\\s+read\\s+1\\s+10\\s+10\\s+0", "has no active members");
        says(r + "--describe --state", "readers\\s.*Empty\\s+0");
        says(g + "--all-groups --describe --offsets", "^readers", "^listeners");
        try (KafkaConsumer<String, String> c = member("readers", "read")) {
            long end = System.nanoTime() + 20_000_000_000L;
            while (c.assignment().size() < 2 && System.nanoTime() < end)
                c.poll(java.time.Duration.ofMillis(50));
            says(r + "--describe --members --verbose", "readers\\s+consumer-readers-.*\\s2\\s.*read:0,1");
            says(r + "--describe --state", "readers.*range\\s+Stable\\s+1");
            says(r + "--describe --members", "readers\\s+consumer-readers.*127.0.0.1");
            refuses(r + "--delete", "GroupNotEmptyException|not empty");
            refuses(r + "--reset-offsets --topic read --to-earliest --execute", "can only be reset if the group .* is inactive|inactive");
        }
        refuses(g + "--group nobody --describe", "does not exist|not found|NotFound");
    }

    static void reset() throws Exception {
        String r = "consumer.group.ConsumerGroupCommand $B --group readers --reset-offsets --topic read ", do_it = " --execute";
        says(r + "--to-earliest" + do_it, "readers\\s+read\\s+0\\s+0", "readers\\s+read\\s+1\\s+0");
        says(r + "--to-offset 7" + do_it, "readers\\s+read\\s+0\\s+7", "read\\s+1\\s+7");
        says(r + "--shift-by 5" + do_it, "read\\s+0\\s+12", "read\\s+1\\s+10"); // no further than the end
        says(r + "--shift-by -4" + do_it, "read\\s+0\\s+8", "read\\s+1\\s+6");
        says(r + "--to-current" + do_it, "read\\s+0\\s+8", "read\\s+1\\s+6");
        says(r + "--to-datetime 2023-11-14T22:13:25.000" + do_it, "read\\s+0\\s+5", "read\\s+1\\s+5");
        says(r + "--by-duration PT1H" + do_it, "read\\s+0\\s+30", "read\\s+1\\s+10");
        says(r + "--to-latest" + do_it, "read\\s+0\\s+30", "read\\s+1\\s+10");
        says(r + "--to-earliest --dry-run", "read\\s+0\\s+0");
        String plan = run(r + "--to-offset 3 --export --dry-run");
        says(r.replace("--topic read ", "--all-topics ") + "--from-file " + file("plan.csv", plan.lines().filter(l -> l.contains("read"))
                .collect(Collectors.joining("\n")) + "\n") + do_it, "read\\s+0\\s+3", "read\\s+1\\s+3");
        says("consumer.group.ConsumerGroupCommand $B --group readers --reset-offsets --topic read:1 --to-offset 9 --execute", "read\\s+1\\s+9");
        says("consumer.group.ConsumerGroupCommand $B --group readers --describe", "read\\s+0\\s+3\\s+30\\s+27", "read\\s+1\\s+9\\s+10\\s+1");
        says("consumer.group.ConsumerGroupCommand $B --group newcomer --reset-offsets --topic read --to-latest --execute", "read\\s+0\\s+30");
    }

    static void deleteOffsets() throws Exception {
        says("consumer.group.ConsumerGroupCommand $B --group readers --delete-offsets --topic read:1", "read\\s+1\\s+Successful");
        String got = says("consumer.group.ConsumerGroupCommand $B --group readers --describe", "read\\s+0\\s+3\\s+30");
        check(!Pattern.compile("read\\s+1\\s+9").matcher(got).find(), "it is gone", got);
        says("consumer.group.ConsumerGroupCommand $B --group readers --group newcomer --delete", "Deletion of requested consumer groups .* was successful");
        got = run("consumer.group.ConsumerGroupCommand $B --list");
        check(!got.contains("readers") && got.contains("listeners"), "they are gone", got);
        refuses("consumer.group.ConsumerGroupCommand $B --group readers --delete", "GroupIdNotFound|does not exist|not found");
    }

    static void groupsTool() throws Exception {
        says("GroupsCommand $B --list", "listeners\\s+Classic\\s+consumer");
        says("GroupsCommand $B --list --consumer", "listeners");
        run("GroupsCommand $B --list --protocol connect");
    }

    /* As it is after a Kafka Streams application: offsets of its group, and topics of its own. */
    static void streamsReset() throws Exception {
        commitAll("app", "read", 40);
        run("TopicCommand $B --create --topic app-store-changelog --partitions 2 --config cleanup.policy=compact");
        run("TopicCommand $B --create --topic app-words-repartition --partitions 2");
        says("StreamsResetter $B --application-id app --input-topics read --to-offset 2", "app-store-changelog", "app-words-repartition");
        says("consumer.group.ConsumerGroupCommand $B --group app --describe", "read\\s+0\\s+2\\s+30\\s+28", "read\\s+1\\s+2\\s+10\\s+8");
        String got = run("TopicCommand $B --list");
        check(!got.contains("app-"), "its topics are gone", got);
    }

    // ------------------------------------------------------------------ transactions

    static void transactions() throws Exception {
        run("TopicCommand $B --create --topic deal --partitions 2");
        Map<String, Object> m = Map.of("bootstrap.servers", where, "transactional.id", "t-tool", "transaction.timeout.ms", "60000");
        KafkaProducer<String, String> p = new KafkaProducer<>(m, new StringSerializer(), new StringSerializer());
        p.initTransactions();
        p.beginTransaction();
        p.send(new ProducerRecord<>("deal", 1, "k", "v"));
        p.flush();
        String got = says("TransactionsCommand $B list", "t-tool\\s+\\d+\\s+\\d+\\s+Ongoing");
        says("TransactionsCommand $B list --duration-filter 0", "t-tool");
        check(!run("TransactionsCommand $B list --duration-filter 600000").contains("t-tool"), "it is younger", got);
        says("TransactionsCommand $B list --transactional-id-pattern t-.*", "t-tool");
        check(!run("TransactionsCommand $B list --transactional-id-pattern x-.*").contains("t-tool"), "another name", got);
        says("TransactionsCommand $B describe --transactional-id t-tool", "t-tool\\s+\\d+\\s+\\d+\\s+Ongoing\\s+60000\\s+.*deal-1");
        says("TransactionsCommand $B describe-producers --topic deal --partition 1", "^\\d+\\s+\\d+\\s+-?\\d+\\s+0\\s+\\d+\\s+0");
        says("TransactionsCommand $B find-hanging --broker-id 1 --max-transaction-timeout 1", "^Topic\\s+Partition");
        run("TransactionsCommand $B abort --topic deal --partition 1 --start-offset 0");
        p.close(java.time.Duration.ZERO);
        produce("deal", 1, 1);
        says("consumer.ConsoleConsumer $B --topic deal --partition 1 --offset earliest --isolation-level read_committed --max-messages 1 --timeout-ms 10000",
                "^v0$", "Processed a total of 1 messages");
        KafkaProducer<String, String> q = new KafkaProducer<>(m, new StringSerializer(), new StringSerializer());
        q.initTransactions();
        q.beginTransaction();
        q.send(new ProducerRecord<>("deal", 0, "k", "v"));
        q.flush();
        run("TransactionsCommand $B forceTerminateTransaction --transactionalId t-tool");
        says("TransactionsCommand $B describe --transactional-id t-tool", "t-tool .*(Empty|CompleteAbort) ");
        q.close(java.time.Duration.ZERO);
    }

    static void copier() throws Exception {
        run("TopicCommand $B --create --topic from --partitions 1");
        run("TopicCommand $B --create --topic to --partitions 1");
        produce("from", 0, 500);
        says("TransactionalMessageCopier --broker-list " + where + " --input-topic from --input-partition 0 --output-topic to --consumer-group copy"
                + " --transactional-id t-copy --transaction-size 90 --max-messages 500 --enable-random-aborts --transaction-timeout 20000", "ShutdownComplete.*\"totalProcessed\":500");
        String got = says("consumer.ConsoleConsumer $B --topic to --from-beginning --isolation-level read_committed --timeout-ms 4000");
        check(got.lines().filter(l -> l.matches("v\\d+")).collect(Collectors.toList())
                .equals(IntStream.range(0, 500).mapToObj(i -> "v" + i).collect(Collectors.toList())), "each once, in order", got);
    }

    // ------------------------------------------------------------------ replicas

    static void election() throws Exception {
        String f = file("elect.json", "{\"partitions\":[{\"topic\":\"count\",\"partition\":0}]}");
        says("LeaderElectionCommand $B --election-type preferred --path-to-json-file " + f, "Valid replica already elected for partitions count-0");
        run("LeaderElectionCommand $B --election-type preferred --all-topic-partitions");
        says("LeaderElectionCommand $B --election-type unclean --topic count --partition 1", "Valid replica already elected for partitions count-1");
    }

    static void reassign() throws Exception {
        String f = file("move.json", "{\"version\":1,\"topics\":[{\"topic\":\"count\"}]}"), r = "reassign.ReassignPartitionsCommand $B ";
        String got = says(r + "--generate --broker-list 1 --topics-to-move-json-file " + f, "Proposed partition reassignment configuration");
        String plan = file("plan.json", got.trim().lines().reduce((a, b) -> b).get());
        says(r + "--execute --reassignment-json-file " + plan, "Successfully started partition reassignments? for count-0,count-1");
        says(r + "--verify --reassignment-json-file " + plan, "Reassignment of partition count-0 is completed", "count-1 is completed");
        says(r + "--list", "No partition reassignments found");
        says(r + "--cancel --reassignment-json-file " + plan, "None of the specified partition reassignments are active");
        refuses(r + "--execute --reassignment-json-file " + file("bad.json",
                "{\"version\":1,\"partitions\":[{\"topic\":\"count\",\"partition\":0,\"replicas\":[7]}]}"), "Unknown broker id 7|InvalidReplica");
    }

    // ------------------------------------------------------------------ measuring and verifying

    static void verifiable() throws Exception {
        run("TopicCommand $B --create --topic verify --partitions 3");
        String got = says("VerifiableProducer $B --topic verify --max-messages 3000 --acks -1", "\"acked\":3000", "\"sent\":3000");
        check(!got.contains("producer_send_error"), "no errors", got);
        got = says("VerifiableConsumer $B --topic verify --group-id verifiers --max-messages 3000 --reset-policy earliest --verbose", "\"shutdown_complete\"",
                "\"partitions_assigned\"", "\"offsets_committed\".*\"success\":true");
        Matcher m = Pattern.compile("\"record_data\".*?\"value\":\"(\\d+)\"|\"value\":\"(\\d+)\".*\"record_data\"").matcher(got);
        Set<String> values = new HashSet<>();
        while (m.find())
            values.add(m.group(1) != null ? m.group(1) : m.group(2));
        check(values.size() == 3000, values.size() + " values of 3000", got.substring(0, Math.min(2000, got.length())));
        got = says("consumer.group.ConsumerGroupCommand $B --group verifiers --describe", "^verifiers");
        m = Pattern.compile("^verifiers\\s+verify\\s+\\d\\s+(\\d+)\\s+\\1\\s+0 ", Pattern.MULTILINE).matcher(got); // of those that got records
        int committed = 0;
        while (m.find())
            committed += Integer.parseInt(m.group(1));
        check(committed == 3000, "3000 are committed", got);
    }

    static void performance() throws Exception {
        run("TopicCommand $B --create --topic speed --partitions 1");
        says("ProducerPerformance $B --topic speed --num-records 50000 --record-size 100 --throughput -1 --command-property acks=all",
                "50000 records sent, .*99.9th");
        says("ProducerPerformance $B --topic speed --num-records 2000 --record-size 100 --throughput -1 --transactional-id t-speed --transaction-duration-ms 50",
                "2000 records sent");
        String got = says("ConsumerPerformance $B --topic speed --num-records 50000 --timeout 20000", "data.consumed.in.nMsg");
        Matcher m = Pattern.compile("^\\d{4}-.*?, .*?, .*?, .*?, (\\d+),", Pattern.MULTILINE).matcher(got);
        check(m.find() && Integer.parseInt(m.group(1)) >= 50000, "all were read", got);
        says("GetOffsetShell $B --topic speed", "^speed:0:520\\d\\d$"); // 52000 and the markers
    }

    static void latency() throws Exception {
        run("TopicCommand $B --create --topic echo --partitions 1");
        says("EndToEndLatency $B --topic echo --num-records 200 --producer-acks all --record-size 64", "Percentiles: 50th = \\d+");
    }

    static void replicas() throws Exception {
        String got = any("ReplicaVerificationTool --broker-list " + where + " --topics-include talk --report-interval-ms 500 --time -2", 4, true);
        check(got.contains("max lag is 0 for partition talk-0 at offset 7"), "no lag", got); // it runs for ever
    }

    /* Without an authorizer and without these groups: each is told so, and at once. */
    static void unserved() throws Exception {
        String no = "does not support|Unsupported|SecurityDisabled|not support|Security features are disabled";
        refuses("AclCommand $B --list", no);
        refuses("DelegationTokenCommand $B --describe --command-config " + file("none.properties", ""), no);
        refuses("consumer.group.ShareGroupCommand $B --list", "^\\s*$|" + no);
        refuses("consumer.group.ShareGroupCommand $B --describe --group nobody", no + "|not found|NotFound|does not exist");
        refuses("streams.StreamsGroupCommand $B --list", "^\\s*$|" + no);
        refuses("ClientMetricsCommand $B --list", "^\\s*$|" + no);
    }

    public static void main(String[] args) throws Exception {
        where = args[0];
        scratch = Files.createTempDirectory("tools");
        Exit.setExitProcedure(Tools::end);
        Exit.setHaltProcedure(Tools::end);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        String only = System.getenv("TOOLS_ONLY");
        Map<String, Step> all = new LinkedHashMap<>();
        all.put("kafka-broker-api-versions: every API served has a version in common", Tools::versions);
        all.put("kafka-cluster: cluster-id, list-endpoints; unregister is refused", Tools::cluster);
        all.put("kafka-metadata-quorum: describe --status, --replication", Tools::quorum);
        all.put("kafka-features: describe", Tools::features);
        all.put("kafka-topics: --create, --list, --describe with each filter and by id, --alter, --delete, and what they refuse", Tools::topics);
        all.put("kafka-configs topics: --add-config, -file, --delete-config, --describe, --all, lists, synonyms, bad values", Tools::topicConfigs);
        all.put("kafka-configs brokers: of one broker and of all, topics inherit them, read-only ones are refused", Tools::brokerConfigs);
        all.put("kafka-configs clients, users, groups, client-metrics: --describe: quotas are not served, and it says so; of the others there are none", Tools::otherConfigs);
        all.put("kafka-console-producer, kafka-console-consumer: keys, headers, codecs, offsets, groups, patterns, group commits read", Tools::console);
        all.put("kafka-get-offsets: latest, earliest, max-timestamp, by time, local, tiered, some partitions", Tools::offsets);
        all.put("kafka-delete-records: to an offset, to the end, beyond it", Tools::deleteRecords);
        all.put("kafka-log-dirs: --describe of topics, of brokers", Tools::logDirs);
        all.put("kafka-consumer-groups: --list, --describe --members --state --offsets, of empty and live groups, and what is refused", Tools::groups);
        all.put("kafka-consumer-groups --reset-offsets: earliest, latest, offset, shift, current, datetime, duration, file, plan", Tools::reset);
        all.put("kafka-consumer-groups --delete-offsets, --delete: gone, and refused the second time", Tools::deleteOffsets);
        all.put("kafka-groups: --list by type and protocol", Tools::groupsTool);
        all.put("kafka-streams-application-reset: offsets of the group are set, internal topics are deleted", Tools::streamsReset);
        all.put("kafka-transactions: list with filters, describe, describe-producers, find-hanging, abort, forceTerminateTransaction", Tools::transactions);
        all.put("TransactionalMessageCopier: 500 records through with random aborts, each once and in order", Tools::copier);
        all.put("kafka-leader-election: preferred, unclean, of one, of all", Tools::election);
        all.put("kafka-reassign-partitions: --generate, --execute, --verify, --list, --cancel; an unknown broker is refused", Tools::reassign);
        all.put("kafka-verifiable-producer, kafka-verifiable-consumer: 3000 values acknowledged, all read once, committed", Tools::verifiable);
        all.put("kafka-producer-perf-test, kafka-consumer-perf-test: 50000 records, in transactions too", Tools::performance);
        all.put("kafka-e2e-latency: 200 records there and back", Tools::latency);
        all.put("kafka-acls, kafka-delegation-tokens, kafka-share-groups, kafka-streams-groups, kafka-client-metrics: none, or not served: answered at once", Tools::unserved);
        all.put("kafka-replica-verification: no lag", Tools::replicas);
        for (Map.Entry<String, Step> e : all.entrySet())
            if (only == null || Pattern.compile(only).matcher(e.getKey()).find())
                step(e.getKey(), e.getValue());
        System.exit(failures == 0 ? 0 : 1);
    }
}
