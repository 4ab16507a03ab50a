/* Admins.java BOOTSTRAP [transactions] - the Java client's Admin, each of its methods that makes sense on one node.
 *
 * A step's name is "method: what was checked". Methods of what the broker does not serve are called as well: they are
 * to fail at once and say so, not to wait until they time out.
 */
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.serialization.*;

public class Admins {
    interface Step { void run() throws Exception; }

    static final long THEN = System.currentTimeMillis() - 1_000_000;
    static String where;
    static Admin a;
    static int failures;
    static final TopicPartition P0 = new TopicPartition("one", 0), P1 = new TopicPartition("one", 1);
    static final ConfigResource ONE = new ConfigResource(ConfigResource.Type.TOPIC, "one"), NODE = new ConfigResource(ConfigResource.Type.BROKER, "1"),
            NODES = new ConfigResource(ConfigResource.Type.BROKER, "");

    static void step(String name, Step s) {
        String only = System.getenv("ADMIN_ONLY");
        if (only != null && !java.util.regex.Pattern.compile(only).matcher(name).find())
            return;
        try {
            s.run();
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failures++;
            System.out.println("not ok " + name + "\n    " + t.toString().replace("\n", "\n    "));
            for (StackTraceElement e : t.getStackTrace())
                if (e.getClassName().startsWith("Admins"))
                    System.out.println("    " + e);
        }
    }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(20, TimeUnit.SECONDS); }

    static void same(String what, Object got, Object want) {
        if (!Objects.equals(got, want))
            throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static void is(String what, boolean truth) {
        if (!truth)
            throw new AssertionError(what);
    }

    /* Fails with that error, and before a timeout could be the reason. */
    static void fails(String error, KafkaFuture<?> f) throws Exception {
        long start = System.nanoTime();
        try {
            Object got = f.get(15, TimeUnit.SECONDS);
            throw new AssertionError("it does not fail but answers " + got);
        } catch (ExecutionException e) {
            same("error (" + e.getCause() + ")", e.getCause().getClass().getSimpleName(), error);
        }
        is("it fails slowly", System.nanoTime() - start < 10_000_000_000L);
    }

    static KafkaProducer<String, String> producer(String... more) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", where, "acks", "all"));
        for (int i = 0; i < more.length; i += 2)
            m.put(more[i], more[i + 1]);
        return new KafkaProducer<>(m, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> member(String group, String... more) {
        Map<String, Object> m = new HashMap<>(Map.of("bootstrap.servers", where, "group.id", group, "auto.offset.reset", "earliest",
                "enable.auto.commit", "false", "session.timeout.ms", "6000"));
        for (int i = 0; i < more.length; i += 2)
            m.put(more[i], more[i + 1]);
        KafkaConsumer<String, String> c = new KafkaConsumer<>(m, new StringDeserializer(), new StringDeserializer());
        c.subscribe(List.of("one"));
        for (long end = System.nanoTime() + 20_000_000_000L; c.assignment().isEmpty() && System.nanoTime() < end;)
            c.poll(java.time.Duration.ofMillis(100));
        is("it has partitions", !c.assignment().isEmpty());
        return c;
    }

    // ------------------------------------------------------------------ cluster

    static void describeCluster() throws Exception {
        DescribeClusterResult r = a.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true));
        same("nodes", get(r.nodes()).size(), 1);
        same("controller", get(r.controller()).id(), 1);
        is("id", get(r.clusterId()).length() == 22);
    }

    static void describeFeatures() throws Exception {
        get(a.describeFeatures().featureMetadata());
    }

    static void quorum() throws Exception {
        QuorumInfo q = get(a.describeMetadataQuorum().quorumInfo());
        same("leader", q.leaderId(), 1);
        same("voters", q.voters().size(), 1);
    }

    static void logDirs() throws Exception {
        LogDirDescription d = get(a.describeLogDirs(List.of(1)).allDescriptions()).get(1).values().iterator().next();
        is("it has one-0 with bytes", d.replicaInfos().get(P0).size() > 0);
        is("no error", d.error() == null);
        Map<TopicPartitionReplica, DescribeReplicaLogDirsResult.ReplicaLogDirInfo> r = get(a.describeReplicaLogDirs(
                List.of(new TopicPartitionReplica("one", 0, 1))).all());
        is("a replica has a folder", r.values().iterator().next().getCurrentReplicaLogDir() != null);
    }

    static void listConfigResources() throws Exception {
        get(a.listConfigResources().all());
        get(a.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all());
    }

    @SuppressWarnings("removal")
    static void clientMetrics() throws Exception {
        same("none", get(a.listClientMetricsResources().all()).size(), 0);
    }

    // ------------------------------------------------------------------ topics

    static void createTopics() throws Exception {
        CreateTopicsResult r = a.createTopics(List.of(new NewTopic("one", 3, (short) 1).configs(Map.of("retention.ms", "3600000")),
                new NewTopic("placed", Map.of(0, List.of(1), 1, List.of(1))), new NewTopic("plain", Optional.empty(), Optional.empty())));
        get(r.all());
        same("partitions", get(r.numPartitions("placed")), 2);
        same("replicas", get(r.replicationFactor("one")), 1);
        same("a setting", get(r.config("one")).get("retention.ms").value(), "3600000");
        fails("TopicExistsException", a.createTopics(List.of(new NewTopic("one", 1, (short) 1))).all());
        get(a.createTopics(List.of(new NewTopic("unmade", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
        is("it was only checked", !get(a.listTopics().names()).contains("unmade"));
        fails("InvalidReplicationFactorException", a.createTopics(List.of(new NewTopic("three", 1, (short) 3))).all());
        fails("InvalidTopicException", a.createTopics(List.of(new NewTopic("a/b", 1, (short) 1))).all());
        fails("InvalidConfigurationException", a.createTopics(List.of(new NewTopic("bad", 1, (short) 1).configs(Map.of("retention.ms", "x")))).all());
        try (KafkaProducer<String, String> p = producer()) {
            for (int i = 0; i < 10; i++)
                p.send(new ProducerRecord<>("one", 0, 1000L * (i == 9 ? 0 : i) + THEN, "k", "v"));
            p.send(new ProducerRecord<>("one", 1, null, "k", "v"));
        }
    }

    static void describeTopics() throws Exception {
        TopicDescription d = get(a.describeTopics(List.of("one")).allTopicNames()).get("one");
        same("partitions", d.partitions().size(), 3);
        same("leader", d.partitions().get(0).leader().id(), 1);
        same("in sync", d.partitions().get(0).isr().size(), 1);
        same("by id", get(a.describeTopics(TopicCollection.ofTopicIds(List.of(d.topicId()))).allTopicIds()).get(d.topicId()).name(), "one");
        same("the id in a list", get(a.listTopics().namesToListings()).get("one").topicId(), d.topicId());
        fails("UnknownTopicOrPartitionException", a.describeTopics(List.of("nothere")).allTopicNames());
        fails("UnknownTopicIdException", a.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds());
        same("by pages", get(a.describeTopics(List.of("one", "placed"), new DescribeTopicsOptions().partitionSizeLimitPerResponse(2)).allTopicNames())
                .get("one").partitions().size(), 3);
    }

    static void listTopics() throws Exception {
        is("not the internal ones", get(a.listTopics().names()).equals(Set.of("one", "placed", "plain")));
        is("the internal ones", get(a.listTopics(new ListTopicsOptions().listInternal(true)).names()).containsAll(Set.of("one", "placed", "plain")));
    }

    static void createPartitions() throws Exception {
        get(a.createPartitions(Map.of("placed", NewPartitions.increaseTo(3), "plain", NewPartitions.increaseTo(2, List.of(List.of(1))))).all());
        same("partitions", get(a.describeTopics(List.of("placed")).allTopicNames()).get("placed").partitions().size(), 3);
        fails("InvalidPartitionsException", a.createPartitions(Map.of("placed", NewPartitions.increaseTo(2))).all());
        get(a.createPartitions(Map.of("placed", NewPartitions.increaseTo(9)), new CreatePartitionsOptions().validateOnly(true)).all());
        same("it was only checked", get(a.describeTopics(List.of("placed")).allTopicNames()).get("placed").partitions().size(), 3);
    }

    static void deleteTopics() throws Exception {
        Uuid id = get(a.describeTopics(List.of("plain")).allTopicNames()).get("plain").topicId();
        get(a.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        get(a.deleteTopics(List.of("placed")).all());
        is("gone", get(a.listTopics().names()).equals(Set.of("one")));
        fails("UnknownTopicOrPartitionException", a.deleteTopics(List.of("placed")).all());
    }

    static long offset(OffsetSpec s) throws Exception {
        return get(a.listOffsets(Map.of(P0, s)).all()).get(P0).offset();
    }

    static void listOffsets() throws Exception {
        same("latest", offset(OffsetSpec.latest()), 10L);
        same("earliest", offset(OffsetSpec.earliest()), 0L);
        same("earliest local", offset(OffsetSpec.earliestLocal()), 0L);
        same("max timestamp", offset(OffsetSpec.maxTimestamp()), 8L);
        same("by time", offset(OffsetSpec.forTimestamp(THEN + 3500)), 4L);
        same("later than all", offset(OffsetSpec.forTimestamp(THEN + 100_000)), -1L);
        same("latest tiered", offset(OffsetSpec.latestTiered()), -1L);
    }

    static void deleteRecords() throws Exception {
        same("to 4", get(a.deleteRecords(Map.of(P0, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(P0)).lowWatermark(), 4L);
        same("earliest", offset(OffsetSpec.earliest()), 4L);
        same("all", get(a.deleteRecords(Map.of(P0, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(P0)).lowWatermark(), 10L);
        fails("OffsetOutOfRangeException", a.deleteRecords(Map.of(P0, RecordsToDelete.beforeOffset(11))).all());
    }

    // ------------------------------------------------------------------ settings

    static String setting(ConfigResource r, String name) throws Exception { return get(a.describeConfigs(List.of(r)).all()).get(r).get(name).value(); }

    static KafkaFuture<Void> alter(ConfigResource r, String name, String value, OpType op) {
        return a.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry(name, value), op)))).all();
    }

    static void topicSettings() throws Exception {
        get(alter(ONE, "cleanup.policy", "compact", OpType.APPEND));
        same("appended", Set.of(setting(ONE, "cleanup.policy").split(",")), Set.of("delete", "compact"));
        get(alter(ONE, "cleanup.policy", "delete", OpType.SUBTRACT));
        same("subtracted", setting(ONE, "cleanup.policy"), "compact");
        get(alter(ONE, "cleanup.policy", "", OpType.DELETE));
        same("deleted", setting(ONE, "cleanup.policy"), "delete");
        get(alter(ONE, "segment.bytes", "2000000", OpType.SET));
        ConfigEntry e = get(a.describeConfigs(List.of(ONE), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all())
                .get(ONE).get("segment.bytes");
        same("source", e.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
        same("synonyms", e.synonyms().stream().map(s -> s.name() + "=" + s.value()).collect(Collectors.toList()),
                List.of("segment.bytes=2000000", "log.segment.bytes=1073741824"));
        is("documentation", e.documentation() != null && !e.documentation().isEmpty());
        same("type", e.type(), ConfigEntry.ConfigType.INT);
        fails("InvalidConfigurationException", alter(ONE, "segment.bytes", "many", OpType.SET));
        fails("InvalidConfigurationException", alter(ONE, "segment.bites", "1", OpType.SET));
        fails("InvalidConfigurationException", alter(ONE, "segment.bytes", "1", OpType.APPEND));
        get(a.incrementalAlterConfigs(Map.of(ONE, List.of(new AlterConfigOp(new ConfigEntry("segment.bytes", "3000000"), OpType.SET))),
                new AlterConfigsOptions().validateOnly(true)).all());
        same("it was only checked", setting(ONE, "segment.bytes"), "2000000");
        fails("UnknownTopicOrPartitionException", a.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, "nothere"))).all());
    }

    static void nodeSettings() throws Exception {
        is("read only", get(a.describeConfigs(List.of(NODE)).all()).get(NODE).get("node.id").isReadOnly());
        get(alter(NODES, "log.retention.ms", "7200000", OpType.SET));
        same("of all nodes", get(a.describeConfigs(List.of(NODE)).all()).get(NODE).get("log.retention.ms").source(),
                ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
        get(alter(NODE, "log.retention.ms", "8200000", OpType.SET));
        same("of this one", setting(NODE, "log.retention.ms"), "8200000");
        get(alter(NODE, "log.retention.ms", "", OpType.DELETE));
        same("of all again", setting(NODE, "log.retention.ms"), "7200000");
        get(alter(NODES, "log.retention.ms", "", OpType.DELETE));
        same("the default", setting(NODE, "log.retention.ms"), "604800000");
        fails("InvalidConfigurationException", alter(NODE, "node.id", "9", OpType.SET));
    }

    // ------------------------------------------------------------------ groups

    static void listGroups() throws Exception {
        try (KafkaConsumer<String, String> c = member("readers", "group.instance.id", "desk")) {
            c.commitSync(Map.of(P0, new OffsetAndMetadata(7, "x"), P1, new OffsetAndMetadata(1)));
            is("listGroups", get(a.listGroups().all()).stream().anyMatch(g -> g.groupId().equals("readers") && g.protocol().equals("consumer")));
            is("by state", get(a.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))).all()).size() == 1);
            is("by state", get(a.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))).all()).isEmpty());
            is("by type", get(a.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC))).all()).size() == 1);
            same("listConsumerGroups", get(a.listConsumerGroups().all()).size(), 1);
        }
    }

    static void describeGroups() throws Exception {
        try (KafkaConsumer<String, String> c = member("readers", "group.instance.id", "desk")) {
            ConsumerGroupDescription d = get(a.describeConsumerGroups(List.of("readers")).all()).get("readers");
            same("state", d.groupState(), GroupState.STABLE);
            MemberDescription m = d.members().iterator().next();
            same("instance", m.groupInstanceId().get(), "desk");
            same("assignment", m.assignment().topicPartitions().size(), 3);
            same("assignor", d.partitionAssignor(), "range");
            same("a classic one", get(a.describeClassicGroups(List.of("readers")).all()).get("readers").members().size(), 1);
        }
        same("one that is not there", get(a.describeConsumerGroups(List.of("readers")).all()).size(), 1);
        fails("GroupIdNotFoundException", a.describeConsumerGroups(List.of("nobody")).all());
    }

    static void removeMembers() throws Exception {
        KafkaConsumer<String, String> c = member("readers", "group.instance.id", "desk");
        c.close(); // a static member stays until its session is over
        get(a.removeMembersFromConsumerGroup("readers", new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("desk")))).all());
        same("members", get(a.describeConsumerGroups(List.of("readers")).all()).get("readers").members().size(), 0);
        KafkaConsumer<String, String> d = member("leavers");
        get(a.removeMembersFromConsumerGroup("leavers", new RemoveMembersFromConsumerGroupOptions()).all());
        same("all members", get(a.describeConsumerGroups(List.of("leavers")).all()).get("leavers").members().size(), 0);
        d.close();
        fails("UnknownMemberIdException", a.removeMembersFromConsumerGroup("readers",
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).memberResult(new MemberToRemove("nobody")));
    }

    static void groupOffsets() throws Exception {
        same("listConsumerGroupOffsets", get(a.listConsumerGroupOffsets("readers").partitionsToOffsetAndMetadata()).get(P0), new OffsetAndMetadata(7, "x"));
        get(a.alterConsumerGroupOffsets("readers", Map.of(P0, new OffsetAndMetadata(3, "y"))).all());
        same("altered", get(a.listConsumerGroupOffsets("readers").partitionsToOffsetAndMetadata()).get(P0), new OffsetAndMetadata(3, "y"));
        Map<String, ListConsumerGroupOffsetsSpec> two = Map.of("readers", new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(P1)),
                "leavers", new ListConsumerGroupOffsetsSpec());
        same("of two groups", get(a.listConsumerGroupOffsets(two).all()).get("readers").get(P1).offset(), 1L);
        get(a.deleteConsumerGroupOffsets("readers", Set.of(P0)).all());
        same("deleted", get(a.listConsumerGroupOffsets("readers").partitionsToOffsetAndMetadata()).get(P0), null);
        try (KafkaConsumer<String, String> c = member("readers")) {
            fails("UnknownMemberIdException", a.alterConsumerGroupOffsets("readers", Map.of(P0, new OffsetAndMetadata(3))).all());
            fails("GroupSubscribedToTopicException", a.deleteConsumerGroupOffsets("readers", Set.of(P1)).partitionResult(P1));
            fails("GroupNotEmptyException", a.deleteConsumerGroups(List.of("readers")).all());
        }
    }

    static void deleteGroups() throws Exception {
        get(a.deleteConsumerGroups(List.of("readers", "leavers")).all());
        same("none", get(a.listGroups().all()).size(), 0);
        fails("GroupIdNotFoundException", a.deleteConsumerGroups(List.of("readers")).all());
    }

    // ------------------------------------------------------------------ producers and transactions

    static void transactions() throws Exception {
        KafkaProducer<String, String> p = producer("transactional.id", "t-admin");
        p.initTransactions();
        p.beginTransaction();
        p.send(new ProducerRecord<>("one", 2, "k", "v"));
        p.flush();
        TopicPartition p2 = new TopicPartition("one", 2);
        ProducerState s = get(a.describeProducers(List.of(p2)).all()).get(p2).activeProducers().get(0);
        same("it began at", s.currentTransactionStartOffset().getAsLong(), 0L);
        TransactionDescription d = get(a.describeTransactions(List.of("t-admin")).all()).get("t-admin");
        same("state", d.state(), TransactionState.ONGOING);
        same("partitions", d.topicPartitions(), Set.of(p2));
        same("producer", d.producerId(), s.producerId());
        same("listTransactions", get(a.listTransactions().all()).size(), 1);
        same("by state", get(a.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.COMPLETE_ABORT))).all()).size(), 0);
        same("by producer", get(a.listTransactions(new ListTransactionsOptions().filterProducerIds(Set.of(s.producerId()))).all()).size(), 1);
        same("by pattern", get(a.listTransactions(new ListTransactionsOptions().filterOnTransactionalIdPattern("x.*")).all()).size(), 0);
        same("by duration", get(a.listTransactions(new ListTransactionsOptions().filterOnDuration(3_600_000)).all()).size(), 0);
        get(a.abortTransaction(new AbortTransactionSpec(p2, s.producerId(), (short) s.producerEpoch(), s.coordinatorEpoch().orElse(0))).all());
        is("no transaction is open", get(a.describeProducers(List.of(p2)).all()).get(p2).activeProducers().stream()
                .allMatch(x -> x.currentTransactionStartOffset().isEmpty()));
        get(a.fenceProducers(List.of("t-admin")).all());
        try {
            p.commitTransaction();
            throw new AssertionError("a fenced producer commits");
        } catch (KafkaException e) {
            is(e.getClass().getSimpleName(), Set.of("ProducerFencedException", "InvalidProducerEpochException").contains(e.getClass().getSimpleName()));
        }
        p.close(java.time.Duration.ZERO);
        fails("TransactionalIdNotFoundException", a.describeTransactions(List.of("t-none")).all());
    }

    static void terminate() throws Exception {
        KafkaProducer<String, String> p = producer("transactional.id", "t-end");
        p.initTransactions();
        p.beginTransaction();
        p.send(new ProducerRecord<>("one", 2, "k", "v"));
        p.flush();
        get(a.forceTerminateTransaction("t-end").result());
        p.close(java.time.Duration.ZERO);
        same("readers see its end", get(a.listOffsets(Map.of(new TopicPartition("one", 2), OffsetSpec.latest()),
                new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all()).values().iterator().next().offset(),
                get(a.listOffsets(Map.of(new TopicPartition("one", 2), OffsetSpec.latest())).all()).values().iterator().next().offset());
    }

    // ------------------------------------------------------------------ replicas

    static void elect() throws Exception {
        same("of one", get(a.electLeaders(ElectionType.PREFERRED, Set.of(P0)).partitions()).get(P0).get().getClass().getSimpleName(),
                "ElectionNotNeededException");
        get(a.electLeaders(ElectionType.PREFERRED, null).all());
    }

    static void reassign() throws Exception {
        get(a.alterPartitionReassignments(Map.of(P0, Optional.of(new NewPartitionReassignment(List.of(1))))).all());
        same("none goes on", get(a.listPartitionReassignments().reassignments()).size(), 0);
        fails("NoReassignmentInProgressException", a.alterPartitionReassignments(Map.of(P0, Optional.empty())).all());
        fails("InvalidReplicaAssignmentException", a.alterPartitionReassignments(Map.of(P0, Optional.of(new NewPartitionReassignment(List.of(1, 2))))).all());
    }

    // ------------------------------------------------------------------ what is not served

    static void unserved(String call, Callable<KafkaFuture<?>> f) {
        step(call + ": not served, and says so at once", () -> {
            long start = System.nanoTime();
            try {
                get(f.call());
                throw new AssertionError("it answers");
            } catch (ExecutionException e) {
                String name = e.getCause().getClass().getSimpleName();
                is(e.getCause().toString(), Set.of("UnsupportedVersionException", "SecurityDisabledException", "InvalidRequestException",
                        "DelegationTokenDisabledException").contains(name));
            }
            is("it fails slowly", System.nanoTime() - start < 10_000_000_000L);
        });
    }

    public static void main(String[] args) throws Exception {
        where = args[0];
        a = Admin.create(Map.of("bootstrap.servers", where));
        step("describeCluster: one node, which is the controller, the cluster's id", Admins::describeCluster);
        step("describeFeatures: answers", Admins::describeFeatures);
        step("describeMetadataQuorum: one voter, which leads", Admins::quorum);
        step("createTopics: partitions, settings and places answered; validate only; four kinds of refusal", Admins::createTopics);
        step("describeTopics: by name, by id, by pages; unknown ones", Admins::describeTopics);
        step("listTopics: with and without internal ones", Admins::listTopics);
        step("createPartitions: more, with places, validate only, fewer are refused", Admins::createPartitions);
        step("deleteTopics: by name, by id, unknown ones", Admins::deleteTopics);
        step("listOffsets: latest, earliest, local, tiered, max timestamp, by time", Admins::listOffsets);
        step("describeLogDirs, describeReplicaLogDirs: sizes, folders", Admins::logDirs);
        step("incrementalAlterConfigs, describeConfigs of topics: set, append, subtract, delete, validate only, synonyms, documentation", Admins::topicSettings);
        step("incrementalAlterConfigs, describeConfigs of brokers: of one and of all, read only ones", Admins::nodeSettings);
        step("listConfigResources: answers", Admins::listConfigResources);
        step("listClientMetricsResources: none", Admins::clientMetrics);
        step("listGroups, listConsumerGroups: by state and type", Admins::listGroups);
        step("describeConsumerGroups, describeClassicGroups: members, assignments, instances; unknown ones", Admins::describeGroups);
        step("removeMembersFromConsumerGroup: a static one, all, unknown ones", Admins::removeMembers);
        step("listConsumerGroupOffsets, alter-, deleteConsumerGroupOffsets: of groups with and without members", Admins::groupOffsets);
        step("deleteConsumerGroups: gone; unknown ones", Admins::deleteGroups);
        step("describeProducers, describe-, list-, abortTransaction, fenceProducers: a transaction seen, aborted, fenced", Admins::transactions);
        step("forceTerminateTransaction: readers go on", Admins::terminate);
        step("deleteRecords: to an offset, all, beyond the end", Admins::deleteRecords);
        step("electLeaders: is not needed", Admins::elect);
        step("alterPartitionReassignments, listPartitionReassignments: to where it is; elsewhere is refused", Admins::reassign);
        step("clientInstanceId, metrics: answer", () -> is("metrics", !a.metrics().isEmpty()));
        unserved("describeAcls", () -> a.describeAcls(AclBindingFilter.ANY).values());
        unserved("createAcls", () -> a.createAcls(List.of(new AclBinding(new org.apache.kafka.common.resource.ResourcePattern(
                org.apache.kafka.common.resource.ResourceType.TOPIC, "one", org.apache.kafka.common.resource.PatternType.LITERAL),
                new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW)))).all());
        unserved("deleteAcls", () -> a.deleteAcls(List.of(AclBindingFilter.ANY)).all());
        unserved("describeClientQuotas", () -> a.describeClientQuotas(ClientQuotaFilter.all()).entities());
        unserved("alterClientQuotas", () -> a.alterClientQuotas(List.of(new ClientQuotaAlteration(new ClientQuotaEntity(Map.of("client-id", "a")),
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1.0))))).all());
        unserved("describeUserScramCredentials", () -> a.describeUserScramCredentials().all());
        unserved("createDelegationToken", () -> a.createDelegationToken().delegationToken());
        unserved("describeDelegationToken", () -> a.describeDelegationToken().delegationTokens());
        unserved("updateFeatures", () -> a.updateFeatures(Map.of("transaction.version", new FeatureUpdate((short) 2, FeatureUpdate.UpgradeType.UPGRADE)),
                new UpdateFeaturesOptions()).all());
        unserved("unregisterBroker", () -> a.unregisterBroker(1).all());
        unserved("addRaftVoter", () -> a.addRaftVoter(2, Uuid.randomUuid(), Set.of(new RaftVoterEndpoint("CONTROLLER", "127.0.0.1", 1))).all());
        unserved("alterReplicaLogDirs", () -> a.alterReplicaLogDirs(Map.of(new TopicPartitionReplica("one", 0, 1), "/nowhere")).all());
        unserved("describeShareGroups", () -> a.describeShareGroups(List.of("s")).all());
        unserved("listShareGroupOffsets", () -> a.listShareGroupOffsets(Map.of("s", new ListShareGroupOffsetsSpec())).all());
        unserved("describeStreamsGroups", () -> a.describeStreamsGroups(List.of("s")).all());
        a.close();
        System.exit(failures == 0 ? 0 : 1);
    }
}
