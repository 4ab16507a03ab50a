/* print.c - a record as `millrace consume` writes it. */
#include "cli/print.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"
#include "data/json.h"

#include <inttypes.h>

enum { ARENA_BYTES_MAX = 512 << 20 };

/* ------------------------------------------------------------------ what was asked for */

static const char letters[] = "kvtophTDKS%";

bool mr_printer_format(const struct mr_verb *v, struct mr_printer *c, char *text)
{
    char *to = text, *start = text;
    for (char *p = text; *p; p++) {
        struct mr_print_piece *last = &c->pieces[c->piece_count];
        if (c->piece_count + 2 > MR_PRINT_PIECES_MAX) {
            mr_cli_say("millrace %s: --format has more than %d pieces", v->name, MR_PRINT_PIECES_MAX);
            return false;
        }
        if (*p == '\\') {
            static const char from[] = "nt0r\\", into[] = "\n\t\0\r\\";
            const char *at = p[1] ? strchr(from, p[1]) : NULL;
            if (!at) {
                mr_cli_say("millrace %s: --format: '\\%c' is none of \\n \\t \\r \\0 \\\\", v->name,
                           p[1] ? p[1] : ' ');
                return false;
            }
            *to++ = into[at - from];
            p++;
        } else if (*p == '%') {
            if (!p[1] || !strchr(letters, p[1])) {
                mr_cli_say("millrace %s: --format: '%%%c' is none of:\n%s", v->name, p[1] ? p[1] : ' ',
                           MR_PRINT_FORMAT_HELP);
                return false;
            }
            if (to > start)
                *last = (struct mr_print_piece){0, start, (size_t)(to - start)}, c->piece_count++;
            c->pieces[c->piece_count++] = (struct mr_print_piece){.letter = p[1]};
            p++;
            start = to;
        } else {
            *to++ = *p;
        }
    }
    if (to > start)
        c->pieces[c->piece_count++] = (struct mr_print_piece){0, start, (size_t)(to - start)};
    return true;
}

bool mr_printer_decode(const struct mr_verb *v, struct mr_printer *p, const char *const *how,
                       const char *topic)
{
    static const char *const names[] = {"bytes", "json", "hex", "base64", "int", "kafka"};
    enum { COUNT = sizeof names / sizeof names[0] };
    bool kafkas = mr_decode_is_kafkas(topic);
    p->key = p->value = kafkas ? MR_SHOW_KAFKA : MR_SHOW_BYTES;
    mr_heap_arena_init(&p->arena, 16 << 10, 1 << 20, ARENA_BYTES_MAX);
    for (; *how; how++) {
        bool key = !strncmp(*how, "key=", 4);
        const char *name = key ? *how + 4 : !strncmp(*how, "value=", 6) ? *how + 6 : *how;
        size_t i = 0;
        while (i < COUNT && strcmp(names[i], name) != 0)
            i++;
        if (i == COUNT && !strcmp(name, "string"))
            i = MR_SHOW_BYTES;
        if (i == COUNT) {
            (void)mr_cli_unknown("way to decode", name, names, COUNT, "millrace consume --help");
            return false;
        }
        if (i == MR_SHOW_KAFKA && !kafkas) {
            mr_cli_say(
                "millrace %s: --decode kafka is for __consumer_offsets and __transaction_state, not '%s'",
                v->name, topic);
            return false;
        }
        *(key ? &p->key : &p->value) = (enum mr_show)i;
    }
    return true;
}

/* ------------------------------------------------------------------ decoding */

static bool put_hex(struct mr_buf *out, const unsigned char *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++)
        if (!mr_buf_put(out, (const char[2]){digits[p[i] >> 4], digits[p[i] & 15]}, 2))
            return false;
    return true;
}

static bool put_int(struct mr_buf *out, const unsigned char *p, size_t len, bool *is_json)
{
    uint64_t n = len && p[0] & 0x80 ? UINT64_MAX : 0;
    *is_json = len == 1 || len == 2 || len == 4 || len == 8;
    if (!*is_json)
        return mr_buf_puts(out, "0x") && put_hex(out, p, len);
    for (size_t i = 0; i < len; i++)
        n = n << 8 | p[i];
    return mr_buf_printf(out, "%" PRId64, (int64_t)n);
}

static bool is_json(const void *p, size_t len)
{
    struct mr_err err = {0};
    struct mr_value v;
    return mr_json_read((struct mr_slice){p, len}, &v, &err) == MR_OK;
}

/* Key or value as it is to be shown. json: the text is JSON, not a string. */
struct shown {
    struct mr_slice text;
    bool json;
};

static bool show(struct mr_printer *c, const rd_kafka_message_t *m, bool of_key, struct shown *s)
{
    struct mr_slice key = {m->key, m->key_len}, value = {m->payload, m->len}, bytes = of_key ? key : value;
    enum mr_show how = of_key ? c->key : c->value;
    bool good = true;
    int done;
    *s = (struct shown){.text = bytes};
    c->scratch.len = 0;
    if (!bytes.p)
        return true;
    switch (how) {
    case MR_SHOW_BYTES:
        return true;
    case MR_SHOW_JSON:
        s->json = is_json(bytes.p, bytes.len);
        return true;
    case MR_SHOW_HEX:
        good = put_hex(&c->scratch, (const unsigned char *)bytes.p, bytes.len);
        break;
    case MR_SHOW_BASE64:
        good = mr_base64_put(&c->scratch, bytes.p, bytes.len);
        break;
    case MR_SHOW_INT:
        good = put_int(&c->scratch, (const unsigned char *)bytes.p, bytes.len, &s->json);
        break;
    case MR_SHOW_KAFKA:
        done = of_key ? mr_decode_key(&c->arena, rd_kafka_topic_name(m->rkt), key, &c->scratch)
                      : mr_decode_value(&c->arena, rd_kafka_topic_name(m->rkt), key, value, &c->scratch);
        mr_heap_arena_reset(&c->arena);
        if (done == 0) /* newer than this program */
            done = mr_buf_puts(&c->scratch, "{\"base64\":\"") &&
                           mr_base64_put(&c->scratch, bytes.p, bytes.len) && mr_buf_puts(&c->scratch, "\"}")
                       ? 1
                       : -1;
        good = done > 0;
        s->json = true;
        break;
    }
    s->text = (struct mr_slice){c->scratch.p ? c->scratch.p : "", c->scratch.len};
    return good;
}

/* ------------------------------------------------------------------ a format */

static bool put_bytes(struct mr_printer *c, const void *p, size_t len)
{
    if (!p && c->null)
        return mr_buf_puts(&c->out, c->null);
    return mr_buf_put(&c->out, p ? p : "", p ? len : 0);
}

static bool put_shown(struct mr_printer *c, const rd_kafka_message_t *m, bool of_key)
{
    struct shown s;
    return show(c, m, of_key, &s) && put_bytes(c, s.text.p, s.text.len);
}

static bool put_headers(struct mr_printer *c, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(m, &headers))
        return true; /* it has none */
    for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++)
        if (!mr_buf_printf(&c->out, "%s%s=", i ? "," : "", name) || !put_bytes(c, value, len))
            return false;
    return true;
}

static bool put_piece(struct mr_printer *c, const struct mr_print_piece *piece, const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t kind;
    char date[40];
    switch (piece->letter) {
    case 0:
        return mr_buf_put(&c->out, piece->text, piece->len);
    case 'k':
        return put_shown(c, m, true);
    case 'v':
        return put_shown(c, m, false);
    case 't':
        return mr_buf_puts(&c->out, rd_kafka_topic_name(m->rkt));
    case 'o':
        return mr_buf_printf(&c->out, "%" PRId64, m->offset);
    case 'p':
        return mr_buf_printf(&c->out, "%" PRId32, m->partition);
    case 'h':
        return put_headers(c, m);
    case 'T':
        return mr_buf_printf(&c->out, "%" PRId64, rd_kafka_message_timestamp(m, &kind));
    case 'D':
        (void)mr_rfc3339_print(rd_kafka_message_timestamp(m, &kind) * 1000000, date);
        return mr_buf_puts(&c->out, date);
    case 'K':
        return mr_buf_printf(&c->out, "%zd", m->key ? (ssize_t)m->key_len : -1);
    case 'S':
        return mr_buf_printf(&c->out, "%zd", m->payload ? (ssize_t)m->len : -1);
    default:
        return mr_buf_puts(&c->out, "%");
    }
}

/* ------------------------------------------------------------------ an object */

static bool json_shown(struct mr_printer *c, const rd_kafka_message_t *m, bool of_key)
{
    const char *name = of_key ? "key" : "value";
    struct shown s;
    if (!show(c, m, of_key, &s))
        return false;
    if (s.json)
        mr_jsonl_raw(&c->line, name, s.text);
    else
        mr_jsonl_bytes(&c->line, name, s.text.p, s.text.len);
    return true;
}

static bool put_json(struct mr_printer *c, const rd_kafka_message_t *m)
{
    struct mr_jsonl *j = &c->line;
    rd_kafka_timestamp_type_t kind;
    rd_kafka_headers_t *headers = NULL;
    const char *name;
    const void *value;
    size_t len;
    int64_t time = rd_kafka_message_timestamp(m, &kind);
    mr_jsonl_open(j, NULL, '{');
    mr_jsonl_text(j, "topic", rd_kafka_topic_name(m->rkt));
    mr_jsonl_int(j, "partition", m->partition);
    mr_jsonl_int(j, "offset", m->offset);
    if (kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0)
        mr_jsonl_int(j, "timestamp", time);
    if (!json_shown(c, m, true) || !json_shown(c, m, false))
        return false;
    if (!rd_kafka_message_headers(m, &headers)) {
        mr_jsonl_open(j, "headers", '[');
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++) {
            mr_jsonl_open(j, NULL, '{');
            mr_jsonl_text(j, "key", name);
            mr_jsonl_bytes(j, "value", value, len);
            mr_jsonl_close(j, '}');
        }
        mr_jsonl_close(j, ']');
    }
    mr_jsonl_close(j, '}');
    bool good = !j->failed && mr_buf_put(&c->out, j->text.p, j->text.len) && mr_buf_puts(&c->out, "\n");
    j->text.len = 0;
    j->more = false;
    return good;
}

bool mr_printer_put(struct mr_printer *p, const rd_kafka_message_t *m)
{
    bool good = true;
    if (p->json)
        return put_json(p, m);
    for (size_t i = 0; good && i < p->piece_count; i++)
        good = put_piece(p, &p->pieces[i], m);
    return good;
}

void mr_printer_fini(struct mr_printer *p)
{
    mr_buf_fini(&p->out);
    mr_buf_fini(&p->scratch);
    mr_jsonl_fini(&p->line);
    mr_heap_arena_fini(&p->arena);
}
