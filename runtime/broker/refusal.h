/* refusal.h - what the broker answers, by Kafka's numbers: only those that the broker gives. */
#ifndef MR_BROKER_REFUSAL_H
#define MR_BROKER_REFUSAL_H

/* name, Kafka's number, text for people */
#define MR_REFUSALS(X)                                                                                       \
    X(MR_REFUSE_UNKNOWN, -1, "unexpected error in the broker")                                               \
    X(MR_REFUSE_NONE, 0, "no error")                                                                         \
    X(MR_REFUSE_OFFSET_OUT_OF_RANGE, 1, "offset outside of what the partition holds")                        \
    X(MR_REFUSE_CORRUPT, 2, "record batch damaged")                                                          \
    X(MR_REFUSE_UNKNOWN_TOPIC, 3, "no such topic or partition")                                              \
    X(MR_REFUSE_NOT_LEADER, 6, "partition is not ready yet; try again")                                      \
    X(MR_REFUSE_TIMED_OUT, 7, "request timed out")                                                           \
    X(MR_REFUSE_TOO_LARGE, 10, "batch larger than max.message.bytes")                                        \
    X(MR_REFUSE_METADATA_TOO_LARGE, 12, "metadata of an offset is too large")                                \
    X(MR_REFUSE_COORDINATOR_LOADING, 14, "coordinator is still reading its topic")                           \
    X(MR_REFUSE_COORDINATOR_NOT_AVAILABLE, 15, "coordinator not available")                                  \
    X(MR_REFUSE_NOT_COORDINATOR, 16, "not the coordinator of this group")                                    \
    X(MR_REFUSE_INVALID_TOPIC, 17, "topic name not valid")                                                   \
    X(MR_REFUSE_LIST_TOO_LARGE, 18, "batch larger than a segment")                                           \
    X(MR_REFUSE_NOT_ENOUGH_REPLICAS, 19, "not ready to take this; try again")                                \
    X(MR_REFUSE_INVALID_ACKS, 21, "acks must be -1, 0 or 1")                                                 \
    X(MR_REFUSE_ILLEGAL_GENERATION, 22, "not the present generation of the group")                           \
    X(MR_REFUSE_INCONSISTENT_PROTOCOL, 23, "protocols do not fit those of the group")                        \
    X(MR_REFUSE_INVALID_GROUP_ID, 24, "group id not valid")                                                  \
    X(MR_REFUSE_UNKNOWN_MEMBER, 25, "no such member in the group")                                           \
    X(MR_REFUSE_INVALID_SESSION_TIMEOUT, 26, "session timeout outside of what is allowed")                   \
    X(MR_REFUSE_REBALANCE_IN_PROGRESS, 27, "group is rebalancing; join again")                               \
    X(MR_REFUSE_INVALID_COMMIT_SIZE, 28, "commit does not fit into the offsets topic")                       \
    X(MR_REFUSE_INVALID_TIMESTAMP, 32, "timestamp not valid")                                                \
    X(MR_REFUSE_VERSION, 35, "version not supported")                                                        \
    X(MR_REFUSE_TOPIC_EXISTS, 36, "topic exists already")                                                    \
    X(MR_REFUSE_INVALID_PARTITIONS, 37, "partition count not valid")                                         \
    X(MR_REFUSE_INVALID_REPLICATION, 38, "replication factor not valid")                                     \
    X(MR_REFUSE_INVALID_ASSIGNMENT, 39, "replica assignment not valid")                                      \
    X(MR_REFUSE_INVALID_CONFIG, 40, "topic setting not valid")                                               \
    X(MR_REFUSE_INVALID_REQUEST, 42, "request not valid")                                                    \
    X(MR_REFUSE_POLICY, 44, "not allowed by a limit of this node")                                           \
    X(MR_REFUSE_SEQUENCE, 45, "producer sequence out of order")                                              \
    X(MR_REFUSE_PRODUCER_EPOCH, 47, "producer epoch is old")                                                 \
    X(MR_REFUSE_TXN_STATE, 48, "transaction is not in a state for this")                                     \
    X(MR_REFUSE_PRODUCER_MAPPING, 49, "producer id does not belong to that transactional id")                \
    X(MR_REFUSE_TXN_TIMEOUT, 50, "transaction timeout is 0 or larger than transaction.max.timeout.ms")       \
    X(MR_REFUSE_CONCURRENT_TXNS, 51, "another transaction of this producer is being completed; try again")   \
    X(MR_REFUSE_COORDINATOR_FENCED, 52, "a newer coordinator has taken over")                                \
    X(MR_REFUSE_NOT_ATTEMPTED, 55, "not attempted: another partition of the request was refused")            \
    X(MR_REFUSE_STORAGE, 56, "storage failed")                                                               \
    X(MR_REFUSE_NON_EMPTY_GROUP, 68, "group has members")                                                    \
    X(MR_REFUSE_GROUP_NOT_FOUND, 69, "no such group")                                                        \
    X(MR_REFUSE_SESSION_NOT_FOUND, 70, "no such fetch session")                                              \
    X(MR_REFUSE_SESSION_EPOCH, 71, "fetch session epoch out of order")                                       \
    X(MR_REFUSE_DELETION_DISABLED, 73, "topics are not deleted here")                                        \
    X(MR_REFUSE_LEADER_EPOCH_FENCED, 74, "leader epoch is old")                                              \
    X(MR_REFUSE_LEADER_EPOCH_UNKNOWN, 75, "leader epoch is newer than this node knows")                      \
    X(MR_REFUSE_COMPRESSION, 76, "compression not served at this version")                                   \
    X(MR_REFUSE_MEMBER_ID_REQUIRED, 79, "join again with the member id given")                               \
    X(MR_REFUSE_GROUP_FULL, 81, "group has as many members as it may")                                       \
    X(MR_REFUSE_FENCED_INSTANCE, 82, "another member has taken this instance id")                            \
    X(MR_REFUSE_ELECTION_NOT_NEEDED, 84, "this node leads already")                                          \
    X(MR_REFUSE_NO_REASSIGNMENT, 85, "no reassignment is under way")                                         \
    X(MR_REFUSE_GROUP_SUBSCRIBED, 86, "group is subscribed to the topic")                                    \
    X(MR_REFUSE_INVALID_RECORD, 87, "record not valid")                                                      \
    X(MR_REFUSE_UNSTABLE_OFFSET, 88, "an undecided transaction holds an offset; try again")                  \
    X(MR_REFUSE_PRODUCER_FENCED, 90, "a newer producer has taken over this transactional id")                \
    X(MR_REFUSE_UNKNOWN_TOPIC_ID, 100, "no topic with that id")                                              \
    X(MR_REFUSE_TXN_ID_NOT_FOUND, 105, "no such transactional id")                                           \
    X(MR_REFUSE_SESSION_TOPIC_ID, 106, "fetch session mixes topic names and topic ids")                      \
    X(MR_REFUSE_ENDPOINT_MISMATCH, 114, "this is an address for clients, not one of controllers")            \
    X(MR_REFUSE_ENDPOINT_UNKNOWN, 115, "no such type of address")                                            \
    X(MR_REFUSE_TXN_ABORTABLE, 120, "transaction cannot go on; abort it")                                    \
    X(MR_REFUSE_INVALID_REGEX, 128, "not a regular expression, or one that takes too long")

enum mr_refusal {
#define MR_REFUSAL_(name, number, text) name = number,
    MR_REFUSALS(MR_REFUSAL_)
#undef MR_REFUSAL_
};

static inline const char *mr_refusal_text(enum mr_refusal r)
{
    switch (r) {
#define MR_REFUSAL_(name, number, text)                                                                      \
    case name:                                                                                               \
        return text;
        MR_REFUSALS(MR_REFUSAL_)
#undef MR_REFUSAL_
    }
    return "unknown error";
}

#endif
