/* format.c - the table of formats, and the two that need no file: json and raw.
 *
 * json is thin over json.h: it adds where the fields go and when the text may still stand for the event.
 */
#include "data/format_fields.h"

#include "data/json.h"

static const struct mr_format *const formats[] = {
    &mr_format_json,   &mr_format_combined, &mr_format_common, &mr_format_regex, &mr_format_grok,
    &mr_format_logfmt, &mr_format_csv,      &mr_format_syslog, &mr_format_raw,   NULL,
};

const struct mr_format *const *mr_formats(void)
{
    return formats;
}

const struct mr_format *mr_format_find(const char *name, size_t len)
{
    for (size_t i = 0; formats[i]; i++) {
        if (mr_slice_eq(mr_slice_of(formats[i]->name), (struct mr_slice){name, len}))
            return formats[i];
    }
    return NULL;
}

/* ---------------------------------------------------------------- json */

struct json {
    char nothing;
};

static const struct mr_option json_options[] = {{0}};

static void json_decode_into(struct mr_batch *b, struct mr_fields *f, uint32_t row, struct mr_slice text)
{
    struct mr_value v, was = f->text[row];
    struct mr_err err = {0};
    if (mr_json_read(text, &v, &err)) {
        mr_batch_reject(b, row, "%s", err.text);
        return;
    }
    if (!(v.tag == MR_OBJECT || (v.tag == MR_JSON && v.hint == MR_OBJECT))) {
        mr_batch_reject(b, row, "byte 0: not a JSON object");
        return;
    }
    f->text[row].tag = MR_MISSING;
    if (mr_batch_set(b, row, f->into.p, f->into.len, v)) {
        mr_batch_touch(b, row);
        return;
    }
    f->text[row] = was;
    mr_batch_reject(b, row,
                    "cannot set '%.*s': it leads through something that is not an object, or a limit was "
                    "reached",
                    MR_SLICE_ARG(f->into));
}

static void json_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    (void)self, (void)now;
    struct mr_fields f;
    if (!mr_fields_begin(&f, b, slot, into, NULL, 0, 0))
        return;
    /* the text stands for the whole event only where it brought all of its fields */
    uint32_t others = 0;
    for (uint32_t i = 0; i < b->columns; i++)
        others += (int32_t)i != slot && !b->column[i].removed;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        if (!mr_text_take(b, f.text, row, &text))
            continue;
        if (into.len) {
            json_decode_into(b, &f, row, text);
            continue;
        }
        struct mr_value was = f.text[row];
        struct mr_err err = {0};
        f.text[row].tag = MR_MISSING;
        if (mr_json_read_row(b, row, text, &err)) {
            f.text[row] = was;
            mr_batch_touch(b, row);
            mr_batch_reject(b, row, "%s", err.text);
        } else if (others) {
            mr_json_row_merged(b, row);
        }
    }
}

const struct mr_format mr_format_json = {
    .name = "json",
    .summary = "One JSON object in the text of each event.",
    .doc =
        "The members of the object become fields, in their order; of a name given twice the last value "
        "wins. Nested objects and lists are kept as values, numbers keep every digit, and an event that "
        "nothing changes afterwards leaves as the bytes it came in. Blanks around the object are allowed.\n"
        "\n"
        "Rejected: text that is not valid JSON (RFC 8259) in valid UTF-8, a text whose top is not an "
        "object, nesting deeper than 128. The reason names the byte.\n"
        "\n"
        "```\n"
        "in   {\"user\":\"ann\",\"tags\":[\"a\"],\"n\":1}\n"
        "out  {\"user\":\"ann\",\"tags\":[\"a\"],\"n\":1}\n"
        "```\n",
    .options = json_options,
    .self_size = sizeof(struct json),
    .decode = json_decode,
};

/* ---------------------------------------------------------------- raw */

struct raw {
    struct mr_slice field;
};

static const struct mr_option raw_options[] = {
    {.name = "field",
     .type = MR_OPT_STRING,
     .at = offsetof(struct raw, field),
     .value = "message",
     .main = true,
     .help = "the field that takes the text"},
    {0},
};

static void raw_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    (void)now;
    struct raw *r = self;
    struct mr_fields f;
    struct mr_slice name = r->field.len ? r->field : MR_SLICE("message");
    if (!mr_fields_begin(&f, b, slot, into, &name, 1, 1))
        return;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        if (f.text[row].tag != MR_STRING) { /* bytes and text of JSON become a string; else a reason */
            if (!mr_text_slow(b, &f.text[row], row, &text))
                continue;
        } else {
            text = mr_value_text(&f.text[row]);
        }
        struct mr_value v = mr_text_value_of(text.p, text.len);
        mr_fields_put(&f, row, &v, 1);
    }
}

const struct mr_format mr_format_raw = {
    .name = "raw",
    .summary = "The text as it is, in one field.",
    .doc = "The whole text becomes the string field `field`; nothing is looked at, nothing is taken off its "
           "end, an empty text is an empty string. Rejected: a field that is not text.\n"
           "\n"
           "```\n"
           "in   any text at all\n"
           "out  {\"message\":\"any text at all\"}\n"
           "```\n",
    .options = raw_options,
    .self_size = sizeof(struct raw),
    .decode = raw_decode,
};
