/* timeformat.c - strptime and strftime without locale and without a time zone data base. */
#include "base/time.h"

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

/* Names that stand for one offset everywhere (RFC 822); any other name is refused rather than guessed. */
static const struct {
    const char *name;
    int32_t hours;
} zones[] = {{"UTC", 0},  {"GMT", 0},  {"UT", 0},   {"Z", 0},    {"EST", -5}, {"EDT", -4},
             {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};

struct scan {
    const char *p, *end;
    struct mr_civil c;
    bool has_year, has_instant, has_yearday, is_pm, has_half;
    int32_t yearday;
    mr_ns instant;
};

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}
static inline bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool scan_number(struct scan *s, int most, int64_t min, int64_t max, int64_t *out)
{
    int n = 0;
    int64_t v = 0;
    while (n < most && s->p < s->end && is_digit(*s->p)) {
        v = v * 10 + (*s->p++ - '0');
        n++;
    }
    *out = v;
    return n > 0 && v >= min && v <= max;
}

static bool scan_byte(struct scan *s, int min, int max, uint8_t *out)
{
    int64_t v;
    if (!scan_number(s, 2, min, max, &v))
        return false;
    *out = (uint8_t)v;
    return true;
}

/* The whole name or its first three letters, in any case; -1: none. */
static int scan_name(struct scan *s, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(names[i]), n = 0;
        while (n < len && s->p + n < s->end && lower(s->p[n]) == lower(names[i][n]))
            n++;
        if (n == len || n >= 3) {
            s->p += n == len ? len : 3;
            return i;
        }
    }
    return -1;
}

static bool scan_offset(struct scan *s)
{
    uint8_t hours, minutes = 0;
    if (s->p == s->end)
        return false;
    char sign = *s->p;
    if (sign == 'Z' || sign == 'z') {
        s->p++;
        s->c.offset_s = 0;
        return true;
    }
    if (sign != '+' && sign != '-')
        return false;
    s->p++;
    if (s->end - s->p < 2 || !is_digit(s->p[1]) || !scan_byte(s, 0, 23, &hours))
        return false;
    if (s->p < s->end && *s->p == ':' && s->end - s->p >= 3)
        s->p++;
    if (s->end - s->p >= 2 && is_digit(s->p[0]) && is_digit(s->p[1]) && !scan_byte(s, 0, 59, &minutes))
        return false;
    s->c.offset_s = hours * 3600 + minutes * 60;
    if (sign == '-')
        s->c.offset_s = -s->c.offset_s;
    return true;
}

static bool scan_zone(struct scan *s)
{
    size_t n = 0;
    while (s->p + n < s->end && lower(s->p[n]) >= 'a' && lower(s->p[n]) <= 'z')
        n++;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (mr_slice_eq((struct mr_slice){s->p, n}, mr_slice_of(zones[i].name))) {
            s->c.offset_s = zones[i].hours * 3600;
            s->p += n;
            return true;
        }
    return false;
}

static bool scan_fraction(struct scan *s, int most)
{
    uint32_t weight = 100000000;
    int n = 0;
    s->c.nano = 0;
    for (; n < most && s->p < s->end && is_digit(*s->p); n++, weight /= 10)
        s->c.nano += (uint32_t)(*s->p++ - '0') * weight;
    return n > 0;
}

static bool scan_format(struct scan *s, const char *f);

static bool scan_conversion(struct scan *s, char conversion)
{
    int64_t v;
    int i;
    switch (conversion) {
    case 'Y': {
        bool minus = s->p < s->end && *s->p == '-';
        s->p += minus;
        if (!scan_number(s, 4, 0, 9999, &v))
            return false;
        s->c.year = (int32_t)(minus ? -v : v);
        return s->has_year = true;
    }
    case 'y':
        if (!scan_number(s, 2, 0, 99, &v))
            return false;
        s->c.year = (int32_t)(v < 69 ? 2000 + v : 1900 + v); /* as POSIX has it */
        return s->has_year = true;
    case 'm':
        return scan_byte(s, 1, 12, &s->c.month);
    case 'e':
        while (s->p < s->end && *s->p == ' ')
            s->p++;
        return scan_byte(s, 1, 31, &s->c.day);
    case 'd':
        if (s->p < s->end && *s->p == ' ')
            s->p++;
        return scan_byte(s, 1, 31, &s->c.day);
    case 'H':
        return scan_byte(s, 0, 23, &s->c.hour);
    case 'I':
        return s->has_half = scan_byte(s, 1, 12, &s->c.hour);
    case 'M':
        return scan_byte(s, 0, 59, &s->c.minute);
    case 'S':
        return scan_byte(s, 0, 60, &s->c.second);
    case 'b':
    case 'B':
    case 'h':
        i = scan_name(s, months, 12);
        s->c.month = (uint8_t)(i + 1);
        return i >= 0;
    case 'a':
    case 'A':
        return scan_name(s, weekdays, 7) >= 0;
    case 'j':
        if (!scan_number(s, 3, 1, 366, &v))
            return false;
        s->yearday = (int32_t)v;
        return s->has_yearday = true;
    case 'z':
        return scan_offset(s);
    case 'Z':
        return scan_zone(s);
    case 's': {
        bool minus = s->p < s->end && *s->p == '-';
        s->p += minus;
        if (!scan_number(s, 10, 0, INT64_C(9223372035), &v) || (s->p < s->end && is_digit(*s->p)))
            return false;
        s->instant = (minus ? -v : v) * 1000000000;
        return s->has_instant = true;
    }
    case 'L':
        return scan_fraction(s, 3);
    case 'f':
        return scan_fraction(s, 9);
    case 'p':
        if (s->end - s->p < 2 || (lower(s->p[0]) != 'a' && lower(s->p[0]) != 'p') || lower(s->p[1]) != 'm')
            return false;
        s->is_pm = lower(s->p[0]) == 'p';
        s->p += 2;
        return true;
    case 'D':
        return scan_format(s, "%m/%d/%y");
    case 'F':
        return scan_format(s, "%Y-%m-%d");
    case 'T':
        return scan_format(s, "%H:%M:%S");
    case 'n':
    case 't':
        while (s->p < s->end && is_blank(*s->p))
            s->p++;
        return true;
    case '%':
        return s->p < s->end && *s->p++ == '%';
    default:
        return false;
    }
}

static bool scan_format(struct scan *s, const char *f)
{
    for (; *f; f++) {
        if (is_blank(*f)) {
            while (s->p < s->end && is_blank(*s->p))
                s->p++;
        } else if (*f != '%') {
            if (s->p == s->end || *s->p++ != *f)
                return false;
        } else if (!scan_conversion(s, *++f)) {
            return false;
        }
        if (!*f)
            return false; /* a lone % at the end; scan_conversion refuses it too */
    }
    return true;
}

bool mr_time_parse(struct mr_slice text, const char *format, int32_t default_year, mr_ns *out)
{
    struct scan s = {.p = text.p, .end = text.p + text.len, .c = {.month = 1, .day = 1}};
    if (!scan_format(&s, format) || s.p != s.end)
        return false;
    if (s.has_instant) { /* %s says it all; a fraction may follow */
        *out = s.instant < 0 ? s.instant - (mr_ns)s.c.nano : s.instant + (mr_ns)s.c.nano;
        return true;
    }
    if (!s.has_year)
        s.c.year = default_year;
    if (s.has_half)
        s.c.hour = (uint8_t)(s.c.hour % 12 + (s.is_pm ? 12 : 0));
    if (s.has_yearday) {
        mr_ns t;
        struct mr_civil day;
        s.c.month = s.c.day = 1;
        if (!mr_civil_to_ns(&s.c, &t))
            return false;
        mr_ns local; /* the year's last day, or the last of int64, must not run over */
        if (__builtin_add_overflow(t, (mr_ns)(s.yearday - 1) * 86400 * 1000000000, &t) ||
            __builtin_add_overflow(t, (mr_ns)s.c.offset_s * 1000000000, &local))
            return false;
        mr_civil_of_ns(local, &day);
        *out = t;
        return day.year == s.c.year;
    }
    return mr_civil_to_ns(&s.c, out);
}

struct print {
    char *out;
    size_t len, cap;
};

static bool put(struct print *o, const char *p, size_t len)
{
    if (o->cap - o->len < len)
        return false;
    memcpy(o->out + o->len, p, len);
    o->len += len;
    return true;
}

static bool put_number(struct print *o, int64_t v, int width, char fill)
{
    char text[24];
    int n = 24;
    bool minus = v < 0;
    uint64_t u = minus ? 0 - (uint64_t)v : (uint64_t)v;
    do
        text[--n] = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    while (24 - n < width)
        text[--n] = fill;
    if (minus)
        text[--n] = '-';
    return put(o, text + n, (size_t)(24 - n));
}

static bool print_format(struct print *o, mr_ns t, const struct mr_civil *c, const char *f, size_t len);

static bool print_conversion(struct print *o, mr_ns t, const struct mr_civil *c, char conversion)
{
    const char *name;
    switch (conversion) {
    case 'Y':
        return put_number(o, c->year, 4, '0');
    case 'y':
        return put_number(o, c->year % 100, 2, '0');
    case 'm':
        return put_number(o, c->month, 2, '0');
    case 'd':
        return put_number(o, c->day, 2, '0');
    case 'e':
        return put_number(o, c->day, 2, ' ');
    case 'H':
        return put_number(o, c->hour, 2, '0');
    case 'I':
        return put_number(o, c->hour % 12 ? c->hour % 12 : 12, 2, '0');
    case 'M':
        return put_number(o, c->minute, 2, '0');
    case 'S':
        return put_number(o, c->second, 2, '0');
    case 'p':
        return put(o, c->hour < 12 ? "AM" : "PM", 2);
    case 'b':
    case 'h':
        return put(o, months[c->month - 1], 3);
    case 'B':
        name = months[c->month - 1];
        return put(o, name, strlen(name));
    case 'a':
        return put(o, weekdays[c->weekday], 3);
    case 'A':
        name = weekdays[c->weekday];
        return put(o, name, strlen(name));
    case 'j':
        return put_number(o, c->yearday, 3, '0');
    case 'z':
        return put(o, "+0000", 5);
    case 'Z':
        return put(o, "UTC", 3);
    case 's':
        return put_number(o, t / 1000000000 - (t % 1000000000 < 0), 1, '0');
    case 'L':
        return put_number(o, c->nano / 1000000, 3, '0');
    case 'f':
        return put_number(o, c->nano, 9, '0');
    case 'D':
        return print_format(o, t, c, "%m/%d/%y", 8);
    case 'F':
        return print_format(o, t, c, "%Y-%m-%d", 8);
    case 'T':
        return print_format(o, t, c, "%H:%M:%S", 8);
    case 'n':
        return put(o, "\n", 1);
    case 't':
        return put(o, "\t", 1);
    case '%':
        return put(o, "%", 1);
    default:
        return false;
    }
}

static bool print_format(struct print *o, mr_ns t, const struct mr_civil *c, const char *f, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool ok;
        if (f[i] == '%')
            ok = ++i < len && print_conversion(o, t, c, f[i]);
        else
            ok = put(o, f + i, 1);
        if (!ok)
            return false;
    }
    return true;
}

int mr_time_print(mr_ns t, const char *format, size_t format_len, char *out, size_t cap)
{
    struct mr_civil c;
    if (cap == 0)
        return -1;
    struct print o = {.out = out, .cap = cap - 1};
    mr_civil_of_ns(t, &c);
    if (!print_format(&o, t, &c, format, format_len))
        return -1;
    out[o.len] = '\0';
    return (int)o.len;
}
