/* offsets_record.c - a version, then the message: see offsets_record.h. */
#include "broker/offsets_record.h"

#include "base/buf.h"

enum {
    KEY_OFFSET = 1,
    KEY_GROUP = 2,
    VALUE_OFFSET = 3,
    VALUE_OFFSET_EXPIRES = 1,
    VALUE_GROUP = 3,
    VALUE_MAX = 4
};

static void *no_arena(struct mr_arena *a, size_t bytes)
{
    (void)a;
    (void)bytes;
    return NULL;
}

static mr_code version_read(struct mr_slice *in, int16_t *version, struct mr_err *err)
{
    if (in->len < 2)
        return mr_fail(err, MR_BADDATA, "%zu bytes are too few for a version", in->len);
    *version = (int16_t)((unsigned)(uint8_t)in->p[0] << 8 | (uint8_t)in->p[1]);
    in->p += 2;
    in->len -= 2;
    return MR_OK;
}

mr_code mr_stored_key_read(struct mr_slice bytes, struct mr_stored_key *out, struct mr_err *err)
{
    struct mr_arena none = {.more = no_arena};
    int16_t version = 0;
    *out = (struct mr_stored_key){.kind = MR_STORED_OTHER};
    mr_code rc = version_read(&bytes, &version, err);
    if (rc)
        return rc;
    if (version >= 0 && version <= KEY_OFFSET) {
        struct mr_stored_offset_key key;
        if ((rc = mr_stored_offset_key_read(&bytes, version, &none, &key, err)))
            return rc;
        *out = (struct mr_stored_key){MR_STORED_OFFSET, key.group, key.topic, key.partition};
    } else if (version == KEY_GROUP) {
        struct mr_stored_group_key key;
        if ((rc = mr_stored_group_key_read(&bytes, version, &none, &key, err)))
            return rc;
        *out = (struct mr_stored_key){.kind = MR_STORED_GROUP, .group = key.group};
    }
    return MR_OK;
}

mr_code mr_stored_offset_read(struct mr_slice bytes, struct mr_offset_entry *out, struct mr_slice *metadata,
                              struct mr_err *err)
{
    struct mr_arena none = {.more = no_arena};
    struct mr_stored_offset_value v;
    int16_t version = 0;
    mr_code rc = version_read(&bytes, &version, err);
    if (rc == MR_OK && (version < 0 || version > VALUE_MAX))
        rc = mr_fail(err, MR_UNSUPPORTED, "value of an offset has version %d; known are 0 to %d", version,
                     VALUE_MAX);
    if (rc == MR_OK)
        rc = mr_stored_offset_value_read(&bytes, version, &none, &v, err);
    if (rc)
        return rc;
    *out = (struct mr_offset_entry){
        .offset = v.offset,
        .leader_epoch = v.leader_epoch,
        .commit_ms = v.commit_timestamp,
        .expire_ms = v.expire_timestamp,
    };
    *metadata = v.metadata;
    return MR_OK;
}

mr_code mr_stored_group_read(struct mr_slice bytes, struct mr_arena *arena, struct mr_stored_group_value *out,
                             struct mr_err *err)
{
    int16_t version = 0;
    mr_code rc = version_read(&bytes, &version, err);
    if (rc == MR_OK && (version < 0 || version > VALUE_MAX))
        rc = mr_fail(err, MR_UNSUPPORTED, "value of a group has version %d; known are 0 to %d", version,
                     VALUE_MAX);
    return rc ? rc : mr_stored_group_value_read(&bytes, version, arena, out, err);
}

static bool version_put(struct mr_buf *b, int16_t version)
{
    char two[2] = {(char)(version >> 8), (char)version};
    return mr_buf_put(b, two, 2);
}

static bool add(struct mr_record_build *b, int64_t now_ms, const struct mr_buf *key,
                const struct mr_buf *value)
{
    struct mr_slice k = {key->p, key->len}, v = {value ? value->p : NULL, value ? value->len : 0};
    return mr_record_build_add(b, now_ms, &k, value ? &v : NULL, NULL, 0);
}

bool mr_stored_offset_add(struct mr_record_build *b, int64_t now_ms, struct mr_slice group,
                          struct mr_slice topic, int32_t partition, const struct mr_offset_entry *entry,
                          struct mr_slice metadata)
{
    struct mr_buf key = {0}, value = {0};
    struct mr_stored_offset_key k = {.group = group, .topic = topic, .partition = partition};
    bool ok =
        version_put(&key, KEY_OFFSET) && mr_stored_offset_key_write(&key, KEY_OFFSET, &k, NULL) == MR_OK;
    if (ok && entry) {
        struct mr_stored_offset_value v = {
            .offset = entry->offset,
            .leader_epoch = entry->leader_epoch,
            .metadata = metadata,
            .commit_timestamp = entry->commit_ms,
            .expire_timestamp = entry->expire_ms,
        };
        int16_t version = entry->expire_ms >= 0 ? VALUE_OFFSET_EXPIRES : VALUE_OFFSET;
        ok = version_put(&value, version) && mr_stored_offset_value_write(&value, version, &v, NULL) == MR_OK;
    }
    ok = ok && add(b, now_ms, &key, entry ? &value : NULL);
    mr_buf_fini(&key);
    mr_buf_fini(&value);
    return ok;
}

bool mr_stored_group_add(struct mr_record_build *b, int64_t now_ms, struct mr_slice group,
                         const struct mr_stored_group_value *v)
{
    struct mr_buf key = {0}, value = {0};
    struct mr_stored_group_key k = {.group = group};
    bool ok = version_put(&key, KEY_GROUP) && mr_stored_group_key_write(&key, KEY_GROUP, &k, NULL) == MR_OK;
    if (ok && v)
        ok = version_put(&value, VALUE_GROUP) &&
             mr_stored_group_value_write(&value, VALUE_GROUP, v, NULL) == MR_OK;
    ok = ok && add(b, now_ms, &key, v ? &value : NULL);
    mr_buf_fini(&key);
    mr_buf_fini(&value);
    return ok;
}
