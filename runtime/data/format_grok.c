/* format_grok.c - %{NAME}, %{NAME:field}, %{NAME:field:type} written out to one PCRE2 pattern.
 *
 * Words.  A *definition* is a pattern with a name, of the option `definitions` or of the library; the option
 *         wins. *Writing out* replaces a reference by its definition in a group: (?:...) without a field,
 *         (?<gN>...) with one; the table of groups then says which field gN is, so that a field may have any
 *         name and may come twice.
 * Laws:
 *   G1  every reference is written out at most MR_GROK_DEPTH_MAX deep, to at most MR_GROK_TEXT_MAX bytes
 *   G2  an error points into the text of the user, also when PCRE2 found it in what was written out
 */
#include "data/format_grok.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

struct grok {
    struct mr_strings pattern;
    struct mr_value definitions, types_option, time_option;
    int64_t match_limit;
    bool utf;
    struct mr_patterns patterns;
};

static const struct mr_option options[] = {
    {.name = "pattern",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct grok, pattern),
     .required = true,
     .main = true,
     .help = "a pattern with `%{NAME:field:type}` in it, or a list of which the first that matches counts",
     .example = "'%{IP:client} %{WORD:verb} %{NUMBER:seconds:float}'"},
    {.name = "definitions",
     .type = MR_OPT_VALUE,
     .at = offsetof(struct grok, definitions),
     .help = "patterns of your own: a map of NAME to pattern, before those of the library",
     .example = "{ ORDER: 'o-[0-9]{6}' }"},
    MR_FORMAT_TYPES_OPTION(struct grok),
    MR_FORMAT_TIME_OPTION(struct grok),
    MR_PATTERN_OPTIONS(struct grok),
    {0},
};

/* Where the bytes from `out` on came from. */
struct origin {
    size_t out, in;
};

struct writing {
    const struct grok *g;
    struct mr_buf out;
    struct mr_group_name *group; /* [groups], names in memory of their own */
    uint32_t groups;
    struct origin *origin;
    uint32_t origins, origins_cap;
    size_t at; /* in the user's pattern: the reference in hand */
    struct mr_err *err;
};

static struct mr_slice definition(const struct grok *g, struct mr_slice name)
{
    for (uint32_t i = 0; g->definitions.tag == MR_OBJECT && i < g->definitions.len; i++) {
        const struct mr_member *m = &g->definitions.u.object[i];
        if (mr_slice_eq(name, (struct mr_slice){m->name, m->name_len}))
            return mr_value_text(&m->v);
    }
    for (size_t i = 0; mr_grok_library[i].name; i++) {
        if (mr_slice_eq(name, mr_slice_of(mr_grok_library[i].name)))
            return mr_slice_of(mr_grok_library[i].pattern);
    }
    return (struct mr_slice){NULL, 0};
}

static mr_code unknown_name(const struct writing *w, struct mr_slice name)
{
    enum { LIBRARY_MAX = 256 };
    const char *known[LIBRARY_MAX];
    size_t n = 0;
    while (n < LIBRARY_MAX && mr_grok_library[n].name) {
        known[n] = mr_grok_library[n].name;
        n++;
    }
    size_t library = n;
    for (uint32_t i = 0; w->g->definitions.tag == MR_OBJECT && i < w->g->definitions.len && n < LIBRARY_MAX;
         i++) {
        const struct mr_member *m = &w->g->definitions.u.object[i];
        char *copy = mr_strndup(m->name, m->name_len);
        if (copy)
            known[n++] = copy;
    }
    const char *near = mr_nearest(name, known, n);
    mr_code rc = mr_fail(w->err, MR_BADCONF, "unknown pattern '%%{%.*s}'%s%s%s", MR_SLICE_ARG(name),
                         near ? "; did you mean '" : "; define it under 'definitions'", near ? near : "",
                         near ? "'?" : "");
    while (n > library)
        mr_free((void *)(uintptr_t)known[--n]);
    return rc;
}

static mr_code put(struct writing *w, const char *p, size_t len)
{
    if (w->out.len + len > MR_GROK_TEXT_MAX)
        return mr_fail(w->err, MR_LIMIT,
                       "the pattern is too long when its names are written out: at most %d bytes",
                       MR_GROK_TEXT_MAX);
    return mr_buf_put(&w->out, p, len) ? MR_OK : mr_fail(w->err, MR_MEMORY, "no memory for patterns");
}

static bool mark_origin(struct writing *w, size_t in)
{
    if (w->origins == w->origins_cap) {
        uint32_t cap = w->origins_cap ? w->origins_cap * 2 : 64;
        struct origin *o = mr_realloc(w->origin, cap * sizeof *o);
        if (!o)
            return false;
        w->origin = o;
        w->origins_cap = cap;
    }
    w->origin[w->origins++] = (struct origin){w->out.len, in};
    return true;
}

static bool field_name_fits(struct mr_slice f)
{
    for (size_t i = 0; i < f.len; i++) {
        unsigned char c = (unsigned char)f.p[i];
        if (!((unsigned)(c | 0x20) - 'a' < 26 || (unsigned)c - '0' < 10 || (c && strchr("_@.-", c))))
            return false;
    }
    return f.len != 0 && f.p[0] != '.' && f.p[f.len - 1] != '.';
}

struct reference {
    struct mr_slice name, field;
    enum mr_field_type type;
};

/* What stands between %{ and }. */
static mr_code read_reference(const struct writing *w, struct mr_slice s, struct reference *r)
{
    *r = (struct reference){.name = s};
    const char *colon = s.len ? memchr(s.p, ':', s.len) : NULL;
    if (!colon)
        return MR_OK;
    r->name.len = (size_t)(colon - s.p);
    r->field = (struct mr_slice){colon + 1, s.len - r->name.len - 1};
    colon = r->field.len ? memchr(r->field.p, ':', r->field.len) : NULL;
    if (colon) {
        struct mr_slice word = {colon + 1, (size_t)(s.p + s.len - colon) - 1};
        r->field.len = (size_t)(colon - r->field.p);
        mr_code rc = mr_field_type_parse(word, &r->type, w->err);
        if (rc)
            return rc;
    }
    if (!field_name_fits(r->field))
        return mr_fail(w->err, MR_BADCONF,
                       "'%.*s' is no name for a field; use letters, digits and any of _ @ - and dots between",
                       MR_SLICE_ARG(r->field));
    return MR_OK;
}

static mr_code open_group(struct writing *w, const struct reference *r)
{
    if (!r->field.len)
        return put(w, "(?:", 3);
    if (w->groups == MR_GROUPS_MAX)
        return mr_fail(w->err, MR_LIMIT, "more than %d fields in a pattern", MR_GROUPS_MAX);
    char text[32];
    int n = snprintf(text, sizeof text, "(?<mr_%u>", w->groups);
    struct mr_group_name *g = &w->group[w->groups];
    char *name = mr_strndup(text + 3, (size_t)n - 4);
    if (!name)
        return mr_fail(w->err, MR_MEMORY, "no memory for patterns");
    *g = (struct mr_group_name){.group = {name, (size_t)n - 4}, .field = r->field, .type = r->type};
    w->groups++;
    return put(w, text, (size_t)n);
}

static mr_code write_out(struct writing *w, struct mr_slice s, int depth);

static mr_code write_reference(struct writing *w, struct mr_slice inside, int depth)
{
    struct reference r;
    mr_code rc = read_reference(w, inside, &r);
    if (rc)
        return rc;
    struct mr_slice def = definition(w->g, r.name);
    if (!def.p)
        return unknown_name(w, r.name);
    if (depth >= MR_GROK_DEPTH_MAX)
        return mr_fail(w->err, MR_BADCONF,
                       "pattern '%%{%.*s}' is more than %d patterns deep: does it stand for itself?",
                       MR_SLICE_ARG(r.name), MR_GROK_DEPTH_MAX);
    if ((rc = open_group(w, &r)) || (rc = write_out(w, def, depth + 1)))
        return rc;
    return put(w, ")", 1);
}

static mr_code write_out(struct writing *w, struct mr_slice s, int depth)
{
    size_t i = 0, done = 0;
    mr_code rc;
    if (depth == 0 && !mark_origin(w, 0))
        return mr_fail(w->err, MR_MEMORY, "no memory for patterns");
    while (i < s.len) {
        if (s.p[i] == '\\' && i + 1 < s.len) { /* \%{ is not a reference */
            i += 2;
            continue;
        }
        if (!(s.p[i] == '%' && i + 1 < s.len && s.p[i + 1] == '{')) {
            i++;
            continue;
        }
        if (depth == 0)
            w->at = i;
        const char *end = memchr(s.p + i, '}', s.len - i);
        if (!end)
            return mr_fail(w->err, MR_BADCONF, "'%%{' has no '}'; write \\%%{ when no name is meant");
        if ((rc = put(w, s.p + done, i - done)))
            return rc;
        if (depth == 0 && !mark_origin(w, i))
            return mr_fail(w->err, MR_MEMORY, "no memory for patterns");
        if ((rc = write_reference(w, (struct mr_slice){s.p + i + 2, (size_t)(end - s.p) - i - 2}, depth)))
            return rc;
        i = done = (size_t)(end - s.p) + 1;
        if (depth == 0 && !mark_origin(w, i))
            return mr_fail(w->err, MR_MEMORY, "no memory for patterns");
    }
    return put(w, s.p + done, s.len - done);
}

/* G2 */
static size_t origin_of(const struct writing *w, size_t out, size_t user_len)
{
    uint32_t i = w->origins;
    while (i > 0 && w->origin[i - 1].out > out)
        i--;
    if (i == 0)
        return 0;
    const struct origin *o = &w->origin[i - 1];
    size_t in = o->in + (out - o->out);
    if (i < w->origins && in > w->origin[i].in) /* within a name: its beginning */
        in = o->in;
    return in < user_len ? in : user_len;
}

static mr_code add(struct grok *g, struct mr_slice text, size_t *at, struct mr_err *err)
{
    struct writing w = {.g = g, .err = err};
    mr_code rc;
    w.group = mr_alloc(MR_GROUPS_MAX * sizeof *w.group);
    if (!w.group)
        rc = mr_fail(err, MR_MEMORY, "no memory for patterns");
    else
        rc = write_out(&w, text, 0);
    *at = w.at;
    if (!rc) {
        size_t out_at = 0;
        rc = mr_patterns_add(&g->patterns, (struct mr_slice){w.out.p, w.out.len}, g->utf, true, w.group,
                             w.groups, &out_at, err);
        *at = origin_of(&w, out_at, text.len);
    }
    for (uint32_t i = 0; i < w.groups; i++)
        mr_free((void *)(uintptr_t)w.group[i].group.p);
    mr_free(w.group);
    mr_free(w.origin);
    mr_buf_fini(&w.out);
    return rc;
}

static mr_code check_definitions(const struct grok *g, struct mr_err *err)
{
    const struct mr_value *d = &g->definitions;
    if (d->tag == MR_MISSING || d->tag == MR_NULL)
        return MR_OK;
    mr_code rc = MR_OK;
    if (d->tag != MR_OBJECT)
        rc = mr_fail(err, MR_BADCONF, "'definitions' is not a map; write { NAME: 'pattern' }");
    for (uint32_t i = 0; !rc && i < d->len; i++) {
        const struct mr_member *m = &d->u.object[i];
        if (m->v.tag != MR_STRING)
            rc = mr_fail(err, MR_BADCONF, "the definition of '%.*s' is not a string; put it in quotes",
                         (int)m->name_len, m->name);
    }
    if (rc && err)
        err->option = "definitions";
    return rc;
}

static mr_code grok_open(void *self, struct mr_err *err)
{
    struct grok *g = self;
    mr_code rc = mr_patterns_open(&g->patterns, g->match_limit ? g->match_limit : 1000000, &g->types_option,
                                  &g->time_option, err);
    if (rc || (rc = check_definitions(g, err)))
        return rc;
    for (uint32_t i = 0; !rc && i < g->pattern.count; i++) {
        size_t at = 0;
        rc = add(g, g->pattern.v[i], &at, err);
        if (rc)
            mr_patterns_blame(err, i, g->pattern.count, at);
    }
    if (!rc && g->patterns.names == 0) {
        rc = mr_fail(err, MR_BADCONF, "%s",
                     g->pattern.count ? "the pattern has no field; write %{NAME:field}"
                                      : "'pattern' is empty; write at least one pattern");
        if (err)
            err->option = "pattern";
    }
    return rc ? rc : mr_patterns_ready(&g->patterns, err);
}

static void grok_close(void *self)
{
    mr_patterns_close(&((struct grok *)self)->patterns);
}

static void grok_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    mr_patterns_decode(&((struct grok *)self)->patterns, b, slot, into, now);
}

const struct mr_format mr_format_grok = {
    .name = "grok",
    .summary = "Patterns put together from names: %{IP:client}.",
    .doc =
        "`%{NAME}` stands for a pattern of the library or of `definitions`; `%{NAME:field}` makes a string "
        "field "
        "of what it matches, `%{NAME:field:type}` one of type `int`, `float`, `bool` or `string`. A dot in "
        "the "
        "name of a field makes an object: `%{INT:http.status:int}`. Everything else is PCRE2, named groups "
        "`(?<name>...)` included; unnamed groups capture nothing. A field that is named twice takes the "
        "first "
        "that took part. All is written out to one pattern and compiled to machine code.\n"
        "\n"
        "The patterns are tried in order and the first that matches counts. They match anywhere in the text "
        "unless anchored with `^` and `$`.\n"
        "\n"
        "The library: `WORD NOTSPACE SPACE DATA GREEDYDATA QUOTEDSTRING QS UUID USERNAME USER EMAILLOCALPART "
        "EMAILADDRESS LOGLEVEL`, `INT POSINT NONNEGINT BASE10NUM NUMBER BASE16NUM BASE16FLOAT`, `IPV4 IPV6 "
        "IP "
        "HOSTNAME HOST IPORHOST HOSTPORT MAC CISCOMAC WINDOWSMAC COMMONMAC`, `UNIXPATH WINPATH PATH TTY "
        "URIPROTO "
        "URIHOST URIPATH URIQUERY URIPARAM URIPATHPARAM URI`, `MONTH MONTHNUM MONTHNUM2 MONTHDAY DAY YEAR "
        "HOUR "
        "MINUTE SECOND TIME DATE_US DATE_EU DATE DATESTAMP TZ ISO8601_TIMEZONE ISO8601_SECOND "
        "TIMESTAMP_ISO8601 "
        "HTTPDATE SYSLOGTIMESTAMP DATESTAMP_RFC822 DATESTAMP_RFC2822 DATESTAMP_OTHER DATESTAMP_EVENTLOG`, "
        "`PROG "
        "SYSLOGPROG SYSLOGHOST SYSLOGFACILITY SYSLOGBASE SYSLOGLINE JAVACLASS JAVAFILE JAVAMETHOD`, "
        "`COMMONAPACHELOG COMBINEDAPACHELOG HTTPD_COMMONLOG HTTPD_COMBINEDLOG`.\n"
        "\n"
        "Rejected: as with `regex`. Patterns may stand within patterns 16 deep, and written out be 128 KiB "
        "long.\n"
        "\n"
        "```\n"
        "grok: '%{IP:client} %{WORD:verb} %{NUMBER:seconds:float}'\n"
        "in   192.0.2.7 GET 0.043\n"
        "out  {\"client\":\"192.0.2.7\",\"verb\":\"GET\",\"seconds\":0.043}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct grok),
    .open = grok_open,
    .close = grok_close,
    .decode = grok_decode,
};
