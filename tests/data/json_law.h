/* json_law.h - what holds for every text that the JSON reader accepts; shared by tests and the fuzz target.
 *
 *   reading, decoding all of it and writing that gives a text that reads as the same value
 *   an event reads as the same members that its text has, untouched and touched
 */
#ifndef MR_TESTS_DATA_JSON_LAW_H
#define MR_TESTS_DATA_JSON_LAW_H

#include "base/buf.h"
#include "data/batch.h"
#include "data/json.h"

#include <math.h>

/* In place, to the last level. *wide: a number was too large for a double, and is written as null. */
static inline bool decode_all(struct mr_arena *a, struct mr_value *v, bool *wide)
{
    struct mr_value in = *v;
    if (!mr_json_resolve(a, &in, v))
        return false;
    *wide |= v->tag == MR_FLOAT && !isfinite(v->u.f);
    for (uint32_t i = 0; v->tag == MR_LIST && i < v->len; i++)
        if (!decode_all(a, &v->u.list[i], wide))
            return false;
    for (uint32_t i = 0; v->tag == MR_OBJECT && i < v->len; i++)
        if (!decode_all(a, &v->u.object[i].v, wide))
            return false;
    return true;
}

/* NULL, or the law that is broken. *accepted: was it JSON at all? */
static inline const char *json_law(struct mr_batch_pool *pool, struct mr_slice text, bool *accepted)
{
    struct mr_value v, decoded, again;
    struct mr_err err;
    const char *broken = NULL;
    bool wide = false;
    *accepted = mr_json_read(text, &v, &err) == MR_OK;
    if (!*accepted)
        return err.text[0] && err.at <= text.len ? NULL : "a refused text has a reason and a place";
    struct mr_batch *b = mr_batch_take(pool);
    struct mr_buf out = {0};
    if (!b)
        return "no memory";
    mr_batch_rows(b, 2);
    decoded = v;
    if (!decode_all(b->arena, &decoded, &wide))
        broken = "an accepted text can be decoded";
    else if (!mr_value_equal(&v, &decoded))
        broken = "decoding changes nothing";
    else if (!mr_json_write(&out, &decoded) || memchr(out.p, '\n', out.len))
        broken = "a value is written on one line";
    else if (mr_json_read((struct mr_slice){out.p, out.len}, &again, &err) != MR_OK)
        broken = "what is written is JSON";
    else if (!wide && !mr_value_equal(&v, &again))
        broken = "what is written reads as the same value";
    bool object = v.tag == MR_JSON && v.hint == MR_OBJECT;
    mr_code code = mr_json_read_row(b, 0, text, &err);
    if (!broken && code != MR_LIMIT) {
        if ((code == MR_OK) != object)
            broken = "an event is an object, and any object an event";
        for (int touched = 0; !broken && object && touched < 2; touched++) {
            out.len = 0;
            if (touched)
                mr_batch_touch(b, 0);
            if (!mr_json_write_row(&out, b, 0) || memchr(out.p, '\n', out.len))
                broken = "an event is one line";
            else if (mr_json_read((struct mr_slice){out.p, out.len}, &again, &err) != MR_OK)
                broken = "an event is written as JSON";
            else if (!mr_value_equal(&v, &again))
                broken = touched ? "a touched event has the same value" : "an event has the same value";
        }
    }
    mr_buf_fini(&out);
    mr_batch_free(b);
    return broken;
}

#endif
