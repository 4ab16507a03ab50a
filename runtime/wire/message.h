/* message.h - Kafka's requests and responses: bytes <-> structs, every version, old and flexible.
 *
 * The messages stand as tables in the folder wire/schema; the build turns them (wire/gen.lua) into
 * wire/messages.h: a struct for each request and response, `struct mr_metadata_request` and so on, with
 *
 *     mr_metadata_request_init(&m)                                every field its default
 *     mr_metadata_request_read(&in, version, arena, &m, err)
 *     mr_metadata_request_write(out, version, &m, err)
 *
 * and into tables of fields that the one reader and the one writer here walk. Why tables and not a function
 * per version: see message.c. The structs inside have an init too (mr_fetch_response_partition_init): one
 * that is only zeroed says, for instance, that the leader is node 0 where its default says that nothing is
 * known.
 *
 * How fields look in C. Names are Kafka's, in small letters with underscores.
 *   integers, bool, double   as they are
 *   string, bytes, records   struct mr_slice [borrow: points into the frame]; p NULL is null. Where null is
 *                            not allowed in a version, NULL is written as empty
 *   uuid                     struct mr_uuid
 *   array `x`                int32_t x_count and a pointer `x` [arena]; count -1 is null
 *   struct                   inline; one that may be null is a pointer [arena]
 * A field that the version in use does not have is set to its default by read, and not looked at by write.
 *
 * ApiVersions has rules of its own, which are node/'s to keep: its response header is v0 in every version
 * (mr_response_header_* know that); a request of a version beyond ours is answered with a v0 body, error 35
 * and our range for ApiVersions (mr_request_header_read then answers MR_UNSUPPORTED with *out filled).
 * Produce serves 3+ but is to be advertised from 0: some releases of librdkafka switch compression off
 * otherwise.
 */
#ifndef MR_WIRE_MESSAGE_H
#define MR_WIRE_MESSAGE_H

#include <millrace/plugin.h>

struct mr_uuid {
    uint8_t b[16]; /* most significant first; all zero is none */
};

/* --- tables, made by gen.lua */

enum mr_field_type {
    MR_FIELD_BOOL,
    MR_FIELD_INT8,
    MR_FIELD_INT16,
    MR_FIELD_INT32,
    MR_FIELD_INT64,
    MR_FIELD_UINT16,
    MR_FIELD_FLOAT64,
    MR_FIELD_UUID,
    MR_FIELD_STRING,
    MR_FIELD_BYTES,
    MR_FIELD_RECORDS,
    MR_FIELD_STRUCT,
};

enum { MR_VERSION_NEVER = 127 }; /* "flexible from" of a message that never is */

struct mr_shape;
struct mr_field {
    const char *name;
    const struct mr_shape *of; /* of structs and arrays of structs */
    int64_t value;             /* default of integers and bools */
    uint16_t at, count_at;     /* bytes into the struct; count_at: of arrays */
    uint8_t type;              /* enum mr_field_type; of an array: of its elements */
    bool array, pointer;       /* pointer: a struct that may be null */
    bool null_value;           /* the default is null */
    int8_t from, to;           /* versions that have the field */
    int8_t null_from, null_to; /* versions where it may be null; from > to: none */
    int8_t tag;                /* -1: in line */
};

/* One struct of one message. */
struct mr_shape {
    const char *name;              /* produce_request.topic */
    const struct mr_field *fields; /* in line first, in the order of the wire, then tagged by rising tag */
    const uint16_t *least;         /* [version - min] bytes that it has at least on the wire */
    uint16_t count, tagged_at;     /* of fields; index of the first that is tagged */
    uint16_t size;                 /* of the C struct */
    int8_t min, max, flexible;     /* versions of the message; flexible: first, or MR_VERSION_NEVER */
};

struct mr_api {
    const char *name; /* create_topics */
    const struct mr_shape *request, *response;
    int16_t key;
    int8_t min, max, flexible;
    int8_t max_stable; /* advertise min..max_stable; more than that only when asked to */
};
extern const struct mr_api mr_apis[]; /* by rising key */
extern const size_t mr_apis_count;
const struct mr_api *mr_api_find(int16_t key); /* NULL: not known */

/* Every message: requests, responses, and those that stand alone (consumer_subscription, ...). */
extern const struct mr_shape *const mr_messages[];
extern const size_t mr_messages_count;

/* --- messages of any shape */

/* Every field its default: 0, empty or what the schema says. */
void mr_message_init(const struct mr_shape *shape, void *out);

/* Reads one message and moves `in` behind it; bytes that follow are the caller's to judge (Kafka ignores
 * them). Unknown tagged fields are skipped.
 *
 *   in       [borrow] strings, bytes and records of *out point into it
 *   arena    arrays and nullable structs
 *   out      every field is set on MR_OK, else undefined
 *
 * MR_BADDATA      not this message; names message, version, field and byte. Close the connection
 * MR_UNSUPPORTED  no such version
 * MR_LIMIT        the arena gave no more. An array is asked for only when the bytes left can hold it
 * Thread: any, it is pure.   Cost: one pass, nothing copied but integers.
 */
mr_code mr_message_read(const struct mr_shape *shape, struct mr_slice *in, int16_t version,
                        struct mr_arena *arena, void *out, struct mr_err *err);

/* Bytes that shall be sent from elsewhere (a file): a records field with p NULL and len > 0. The writer
 * puts its length and goes on; `at` says where in `out` its bytes belong. */
struct mr_hole {
    size_t at; /* bytes of `out` that come before it */
    size_t len;
    const struct mr_slice *field; /* [borrow: the message] which one it is; holes come in its order */
};
struct mr_holes {
    struct mr_hole *v; /* [caller] room for `max` */
    uint32_t count, max;
    size_t bytes; /* of all holes: for mr_frame_end */
};

/* Appends one message to `out`; when it fails `out` is as it was.
 *
 *   holes  NULL: a hole is an error. Else count and bytes go on from what they are
 *
 * MR_BADDATA  a value that the version cannot carry (null where none may be, a string beyond 32767 bytes)
 * MR_LIMIT    more than holes->max holes      MR_MEMORY, MR_UNSUPPORTED
 */
mr_code mr_message_write(const struct mr_shape *shape, struct mr_buf *out, int16_t version,
                         const void *message, struct mr_holes *holes, struct mr_err *err);

/* --- frames and headers */

/* A frame is a four byte size and what it counts. begin: false with no memory; *at is for end. */
bool mr_frame_begin(struct mr_buf *out, size_t *at);
void mr_frame_end(struct mr_buf *out, size_t at, const struct mr_holes *holes /* NULL: none */);

struct mr_request_header {
    const struct mr_api *api; /* NULL: unknown key */
    int16_t key, version;
    int32_t correlation_id;
    struct mr_slice client_id; /* [borrow: frame] p NULL: null */
};

/* Reads the header of a request (without the frame's size) and moves `in` to its body.
 * MR_UNSUPPORTED: unknown key, or a version that we do not have: *out is filled, `in` of no use.
 * MR_BADDATA: too short. */
mr_code mr_request_header_read(struct mr_slice *in, struct mr_request_header *out, struct mr_err *err);
bool mr_request_header_write(struct mr_buf *out, const struct mr_api *api, int16_t version,
                             int32_t correlation_id, struct mr_slice client_id); /* false: no memory */

mr_code mr_response_header_read(struct mr_slice *in, const struct mr_api *api, int16_t version,
                                int32_t *correlation_id, struct mr_err *err);
bool mr_response_header_write(struct mr_buf *out, const struct mr_api *api, int16_t version,
                              int32_t correlation_id); /* false: no memory */

#include "wire/messages.h" /* made by the build: structs and their functions */

#endif
