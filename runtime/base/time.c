/* time.c - durations, sizes and the civil calendar. Days are counted as in Hinnant's days_from_civil: years
 * begin in March, so that the leap day is the last.
 */
#include "base/time.h"

__extension__ typedef __int128 wide;

struct unit {
    const char *name;
    int64_t size;
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
static const struct unit sizes[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", 1 << 30},
    {"MiB", 1 << 20},
    {"KiB", 1 << 10},
    {"TB", INT64_C(1000000000000)},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"B", 1},
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static bool number_at(struct mr_slice text, size_t *i, int64_t *out) /* false: beyond int64 */
{
    wide v = 0;
    for (; *i < text.len && is_digit(text.p[*i]); (*i)++) {
        v = v * 10 + (text.p[*i] - '0');
        if (v > INT64_MAX)
            return false;
    }
    *out = (int64_t)v;
    return true;
}

static const struct unit *unit_at(struct mr_slice text, size_t *i, const struct unit *units, size_t count)
{
    size_t end = *i;
    while (end < text.len && !is_digit(text.p[end]))
        end++;
    for (size_t k = 0; k < count; k++)
        if (mr_slice_eq((struct mr_slice){text.p + *i, end - *i}, mr_slice_of(units[k].name))) {
            *i = end;
            return &units[k];
        }
    return NULL;
}

mr_code mr_duration_parse(struct mr_slice text, mr_ms *out, struct mr_err *err)
{
    wide sum = 0;
    size_t i = 0;
    if (mr_slice_eq(text, MR_SLICE("0"))) {
        *out = 0;
        return MR_OK;
    }
    do {
        int64_t v;
        if (i == text.len || !is_digit(text.p[i]))
            return mr_fail(
                err, MR_BADCONF,
                "'%.*s' is not a duration: write a number and its unit, such as 250ms, 10s, 5m, 1h30m or 7d",
                MR_SLICE_ARG(text));
        if (!number_at(text, &i, &v))
            return mr_fail(err, MR_BADCONF, "duration '%.*s' is too long", MR_SLICE_ARG(text));
        if (i == text.len)
            return mr_fail(err, MR_BADCONF, "duration '%.*s' has no unit: add ms, s, m, h or d, as in %.*ss",
                           MR_SLICE_ARG(text), MR_SLICE_ARG(text));
        const struct unit *u = unit_at(text, &i, durations, COUNT(durations));
        if (!u)
            return mr_fail(err, MR_BADCONF,
                           "duration '%.*s' has an unknown unit: use whole numbers of ms, s, m, h or d",
                           MR_SLICE_ARG(text));
        sum += (wide)v * u->size;
        if (sum >= MR_NEVER) /* MR_NEVER itself is not a duration */
            return mr_fail(err, MR_BADCONF, "duration '%.*s' is too long", MR_SLICE_ARG(text));
    } while (i < text.len);
    *out = (mr_ms)sum;
    return MR_OK;
}

mr_code mr_size_parse(struct mr_slice text, int64_t *out, struct mr_err *err)
{
    size_t i = 0;
    int64_t v, scale = 1;
    if (text.len == 0 || !is_digit(text.p[0]))
        return mr_fail(err, MR_BADCONF,
                       "'%.*s' is not a size: write bytes, or a number and KiB, MiB, GiB, KB, MB or GB",
                       MR_SLICE_ARG(text));
    if (!number_at(text, &i, &v))
        return mr_fail(err, MR_BADCONF, "size '%.*s' is too large", MR_SLICE_ARG(text));
    if (i < text.len) {
        const struct unit *u = unit_at(text, &i, sizes, COUNT(sizes));
        if (!u || i != text.len)
            return mr_fail(
                err, MR_BADCONF,
                "size '%.*s' has an unknown unit: use a whole number of KiB, MiB, GiB, KB, MB or GB",
                MR_SLICE_ARG(text));
        scale = u->size;
    }
    if ((wide)v * scale > INT64_MAX)
        return mr_fail(err, MR_BADCONF, "size '%.*s' is too large", MR_SLICE_ARG(text));
    *out = v * scale;
    return MR_OK;
}

/* One number with the largest unit that divides it, or a sum of units: whichever is shorter. */
int mr_duration_print(mr_ms ms, char out[32])
{
    char sum[160];
    int len = 0, n;
    if (ms == 0)
        return snprintf(out, 32, "0s");
    if (ms < 0)
        return snprintf(out, 32, "%lldms", (long long)ms);
    const struct unit *whole = durations;
    while (ms % whole->size != 0)
        whole++;
    n = snprintf(out, 32, "%lld%s", (long long)(ms / whole->size), whole->name);
    int64_t left = ms;
    for (size_t k = 0; k < COUNT(durations) && left; k++) {
        if (left >= durations[k].size)
            len += snprintf(sum + len, sizeof sum - (size_t)len, "%lld%s",
                            (long long)(left / durations[k].size), durations[k].name);
        left %= durations[k].size;
    }
    if (len < n) {
        memcpy(out, sum, (size_t)len + 1);
        n = len;
    }
    return n;
}

int mr_size_print(int64_t bytes, char out[32])
{
    if (bytes > 0)
        for (size_t k = 0; k < 4; k++)
            if (bytes % sizes[k].size == 0)
                return snprintf(out, 32, "%lld%s", (long long)(bytes / sizes[k].size), sizes[k].name);
    return snprintf(out, 32, "%lld", (long long)bytes);
}

static int64_t days_of_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * ((int64_t)m + (m > 2 ? -3 : 9)) + 2) / 5 + (int64_t)d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool is_leap(int64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static unsigned month_days(int64_t y, unsigned m)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

bool mr_civil_to_ns(const struct mr_civil *c, mr_ns *out)
{
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > month_days(c->year, c->month) ||
        c->hour > 23 || c->minute > 59 || c->second > 60 || c->nano > 999999999 || c->offset_s <= -86400 ||
        c->offset_s >= 86400)
        return false;
    wide s = (wide)days_of_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
             c->second - c->offset_s;
    wide ns = s * 1000000000 + c->nano;
    if (ns > INT64_MAX || ns < INT64_MIN)
        return false;
    *out = (mr_ns)ns;
    return true;
}

void mr_civil_of_ns(mr_ns t, struct mr_civil *out)
{
    int64_t s = t / 1000000000, nano = t % 1000000000;
    if (nano < 0) {
        nano += 1000000000;
        s--;
    }
    int64_t day = s / 86400, left = s % 86400;
    if (left < 0) {
        left += 86400;
        day--;
    }
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365,
            doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2);
    *out = (struct mr_civil){
        .year = (int32_t)year,
        .month = (uint8_t)month,
        .day = (uint8_t)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (uint8_t)(left / 3600),
        .minute = (uint8_t)(left / 60 % 60),
        .second = (uint8_t)(left % 60),
        .nano = (uint32_t)nano,
        .weekday = (uint8_t)(((day % 7) + 11) % 7), /* 1970-01-01 was a Thursday */
        .yearday = (uint16_t)(day - days_of_civil(year, 1, 1) + 1),
    };
}

static bool two(const char *p, uint8_t *out)
{
    if (!is_digit(p[0]) || !is_digit(p[1]))
        return false;
    *out = (uint8_t)((p[0] - '0') * 10 + (p[1] - '0'));
    return true;
}

bool mr_rfc3339_parse(struct mr_slice text, mr_ns *out)
{
    struct mr_civil c = {0};
    const char *p = text.p;
    uint8_t century, year;
    size_t i = 19;
    if (text.len < 20 || !two(p, &century) || !two(p + 2, &year) || p[4] != '-' || !two(p + 5, &c.month) ||
        p[7] != '-' || !two(p + 8, &c.day) || (p[10] != 'T' && p[10] != 't' && p[10] != ' ') ||
        !two(p + 11, &c.hour) || p[13] != ':' || !two(p + 14, &c.minute) || p[16] != ':' ||
        !two(p + 17, &c.second))
        return false;
    c.year = century * 100 + year;
    if (p[i] == '.' || p[i] == ',') {
        uint32_t weight = 100000000;
        size_t first = ++i;
        for (; i < text.len && is_digit(p[i]); i++, weight /= 10)
            c.nano += (uint32_t)(p[i] - '0') * weight;
        if (i == first)
            return false;
    }
    size_t left = text.len - i;
    if (left == 1 && (p[i] == 'Z' || p[i] == 'z'))
        return mr_civil_to_ns(&c, out);
    uint8_t hours, minutes;
    if (left != 6 || (p[i] != '+' && p[i] != '-') || !two(p + i + 1, &hours) || p[i + 3] != ':' ||
        !two(p + i + 4, &minutes) || hours > 23 || minutes > 59)
        return false;
    c.offset_s = hours * 3600 + minutes * 60;
    if (p[i] == '-')
        c.offset_s = -c.offset_s;
    return mr_civil_to_ns(&c, out);
}

static char *digits(char *p, uint32_t v, int n)
{
    for (int i = n; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

int mr_rfc3339_print(mr_ns t, char out[40])
{
    struct mr_civil c;
    char *p = out;
    mr_civil_of_ns(t, &c);
    p = digits(p, (uint32_t)c.year, 4); /* int64 ns: 1677 to 2262 */
    *p++ = '-';
    p = digits(p, c.month, 2);
    *p++ = '-';
    p = digits(p, c.day, 2);
    *p++ = 'T';
    p = digits(p, c.hour, 2);
    *p++ = ':';
    p = digits(p, c.minute, 2);
    *p++ = ':';
    p = digits(p, c.second, 2);
    if (c.nano) {
        *p++ = '.';
        if (c.nano % 1000000 == 0)
            p = digits(p, c.nano / 1000000, 3);
        else if (c.nano % 1000 == 0)
            p = digits(p, c.nano / 1000, 6);
        else
            p = digits(p, c.nano, 9);
    }
    *p++ = 'Z';
    *p = '\0';
    return (int)(p - out);
}
