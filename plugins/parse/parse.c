/* parse.c - the step `parse`: a text field of each event into fields, by one of the formats.
 *
 * A format without options is named (`parse: combined`); one with options is a key whose value is its main
 * option or a map of its options (`parse: { regex: {...} }`). The formats' own tables check those maps.
 */
#include <millrace/plugin.h>

enum { FORMATS = 9 };
static const char *const formats[FORMATS] = {"combined", "common", "csv",   "grok",  "json",
                                             "logfmt",   "raw",    "regex", "syslog"};

struct parse {
    struct mr_slice format;
    struct mr_value with[FORMATS]; /* options of each format; MR_MISSING: not given */
    struct mr_slice from, into;
    bool keep_original;

    const struct mr_services *services;
    struct mr_host *host;
    struct mr_decoder *decoder;
    struct mr_value originals[MR_BATCH_ROWS_MAX];
};

static mr_code make_decoder(struct parse *p, const struct mr_open *o, struct mr_decoder **out,
                            struct mr_err *err)
{
    struct mr_slice name = p->format;
    const struct mr_value *with = NULL;
    for (int i = 0; i < FORMATS; i++) {
        if (p->with[i].tag == MR_MISSING)
            continue;
        if (name.len) {
            mr_fail(err, MR_BADCONF, "'%.*s' and '%s' are two formats: a step parses one; use two steps",
                    MR_SLICE_ARG(name), formats[i]);
            err->option = formats[i];
            return MR_BADCONF;
        }
        name = mr_slice_of(formats[i]);
        with = &p->with[i];
    }
    if (!name.len) {
        mr_fail(err, MR_BADCONF,
                "which format? such as 'parse: combined' or 'parse: { regex: \"...\" }'; formats: combined, "
                "common, csv, grok, json, logfmt, raw, regex, syslog");
        err->option = "format";
        return MR_BADCONF;
    }
    mr_code rc = o->services->decoder_new(name.p, name.len, with, out, err);
    if (rc != MR_OK) {
        const char *inner = err->option;
        bool scalar = !with || with->tag != MR_OBJECT;
        if (inner && !scalar)
            mr_wrap(err, "'%s'", inner);
        err->option = with ? formats[with - p->with] : "format";
        if (!scalar)
            err->at = 0; /* the caret stands at the map */
    }
    return rc;
}

static mr_code check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct mr_decoder *d = NULL;
    mr_code rc = make_decoder(self, o, &d, err);
    if (rc == MR_OK)
        o->services->decoder_free(d);
    return rc;
}

static mr_code open_parse(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct parse *p = self;
    p->services = o->services;
    p->host = o->host;
    return make_decoder(p, o, &p->decoder, err);
}

static void close_parse(void *self)
{
    struct parse *p = self;
    if (p->services)
        p->services->decoder_free(p->decoder);
}

/* Decoders read a column. A path into an object is read into one first. */
static int32_t column_of(struct parse *p, struct mr_batch *b, bool *made)
{
    static const char scratch[] = "\001parse"; /* no YAML path spells this */
    const struct mr_services *s = p->services;
    int32_t slot = s->slot(b, p->from.p, p->from.len, false);
    *made = false;
    if (slot >= 0 || !(memchr(p->from.p, '.', p->from.len) || memchr(p->from.p, '[', p->from.len)))
        return slot;
    slot = s->slot(b, scratch, sizeof scratch - 1, true);
    for (uint32_t k = 0; slot >= 0 && k < b->count; k++) {
        struct mr_value v = s->get(b, b->sel[k], p->from.p, p->from.len);
        b->column[slot].v[b->sel[k]] = v;
    }
    *made = slot >= 0;
    return slot;
}

static mr_code process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct parse *p = self;
    const struct mr_services *s = p->services;
    const struct mr_value nothing = {.tag = MR_MISSING};
    bool made;
    (void)err;
    int32_t slot = column_of(p, b, &made);
    if (slot < 0) {
        for (uint32_t k = 0; k < b->count; k++)
            s->reject(b, b->sel[k], "there is no field '%.*s' to parse", MR_SLICE_ARG(p->from));
        return MR_OK;
    }
    if (p->keep_original && !made) {
        for (uint32_t k = 0; k < b->count; k++)
            p->originals[b->sel[k]] = b->column[slot].v[b->sel[k]];
    }
    s->decode(p->decoder, p->host, b, slot, p->into); /* a decoded event has given its text away */
    if (made)
        s->remove(b, b->column[slot].name, b->column[slot].name_len);
    for (uint32_t k = 0; k < b->count && made != p->keep_original; k++) {
        uint32_t row = b->sel[k];
        if (b->fate[row] != MR_KEPT)
            continue;
        if (made) {
            (void)s->set(b, row, p->from.p, p->from.len, nothing);
        } else if (b->column[slot].v[row].tag == MR_MISSING) {
            b->column[slot].v[row] = p->originals[row];
            mr_batch_touch(b, row);
        }
    }
    return MR_OK;
}

#define FORMAT(i, format_name, text, sample)                                                                 \
    {                                                                                                        \
        .name = format_name, .type = MR_OPT_VALUE,                                                           \
        .at = offsetof(struct parse, with) + i * sizeof(struct mr_value), .help = text, .example = sample    \
    }

static const struct mr_option options[] = {
    {.name = "format",
     .type = MR_OPT_STRING,
     .at = offsetof(struct parse, format),
     .main = true,
     .help = "name of a format that needs no options: combined, common, json, logfmt, syslog, csv, raw",
     .example = "combined"},
    FORMAT(0, "combined", "web server log, combined format; with its options", "{}"),
    FORMAT(1, "common", "web server log, common format; with its options", "{}"),
    FORMAT(2, "csv", "separated values; options: columns, delimiter and more", "{ columns: [id, name] }"),
    FORMAT(3, "grok", "a grok pattern, or a map with pattern and definitions",
           "\"%{IP:client} %{NUMBER:took:float}\""),
    FORMAT(4, "json", "one JSON object; with its options", "{}"),
    FORMAT(5, "logfmt", "key=value pairs; with its options", "{}"),
    FORMAT(6, "raw", "the text as it is; with its options", "{}"),
    FORMAT(7, "regex", "a regular expression with named groups, or a map with pattern and types",
           "'^(?<client>\\S+) (?<took>\\d+)ms$'"),
    FORMAT(8, "syslog", "RFC 3164 and RFC 5424; with its options", "{}"),
    {.name = "from",
     .type = MR_OPT_FIELD,
     .at = offsetof(struct parse, from),
     .value = "message",
     .help = "the field with the text"},
    {.name = "into",
     .type = MR_OPT_FIELD,
     .at = offsetof(struct parse, into),
     .help = "put the fields into an object of this name, not beside the others",
     .example = "http"},
    {.name = "keep_original",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct parse, keep_original),
     .value = "false",
     .help = "leave the text in its field; else it is taken away once it is parsed"},
    {0},
};

static const char doc[] =
    "Reads a text field (`message`, as sources fill it) and sets the fields that are in it. Exactly one "
    "format: by "
    "name, or as a key whose value is its main option or a map of its options; `millrace plugins` tells each "
    "format's options.\n"
    "\n"
    "An event that does not fit, or has no such text, goes to `on_error` unchanged, with the reason. A field "
    "that "
    "is there already is replaced by one of the same name from the text.\n"
    "\n"
    "```yaml\n"
    "steps:\n"
    "  - parse: combined\n"
    "  - parse: { regex: '^(?<client>\\S+) took (?<took>\\d+)ms$', from: agent, keep_original: true }\n"
    "  - parse: { csv: { columns: [id, name, city] }, into: row }\n"
    "```\n";

static const struct mr_component parse = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "parse",
    .summary = "Turn a text field into fields, by one of the formats.",
    .doc = doc,
    .self_size = sizeof(struct parse),
    .options = options,
    .check = check,
    .open = open_parse,
    .close = close_parse,
    .process = process,
};

static const struct mr_component *const components[] = {&parse, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "parse",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
