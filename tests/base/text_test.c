/* text_test.c - numbers, UTF-8, durations, sizes, times: tables, and laws against simpler ways. */
#include "base/prng.h"
#include "base/text.h"
#include "base/time.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void durations_and_sizes(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } durations[] = {{"250ms", true, 250},
                     {"10s", true, 10000},
                     {"1m", true, 60000},
                     {"2h", true, 7200000},
                     {"7d", true, 604800000},
                     {"1h30m", true, 5400000},
                     {"0", true, 0},
                     {"0s", true, 0},
                     {"10", false, 0},
                     {"", false, 0},
                     {"s", false, 0},
                     {"1.5s", false, 0},
                     {"-1s", false, 0},
                     {"1 s", false, 0},
                     {"1s ", false, 0},
                     {"1x", false, 0},
                     {"1sm", false, 0},
                     {"106751991167300d", false, 0},
                     {"99999999999999999999s", false, 0}},
      sizes[] = {{"512", true, 512},
                 {"64KiB", true, 65536},
                 {"4MiB", true, 4194304},
                 {"1GiB", true, 1 << 30},
                 {"10KB", true, 10000},
                 {"1MB", true, 1000000},
                 {"1GB", true, 1000000000},
                 {"0", true, 0},
                 {"1TiB", true, INT64_C(1) << 40},
                 {"", false, 0},
                 {"KiB", false, 0},
                 {"1kib", false, 0},
                 {"1K", false, 0},
                 {"1KiB1", false, 0},
                 {"9223372036854775807", true, INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"9007199254740993KiB", false, 0}};
    struct mr_err err;
    int64_t got;
    char text[32];
    (void)state;
    for (size_t i = 0; i < COUNT(durations); i++) {
        mr_code rc = mr_duration_parse(mr_slice_of(durations[i].text), &got, &err);
        if ((rc == MR_OK) != durations[i].ok)
            fail_msg("duration '%s'", durations[i].text);
        if (rc == MR_OK)
            assert_int_equal(got, durations[i].want);
        else
            assert_true(rc == MR_BADCONF && err.text[0]);
    }
    for (size_t i = 0; i < COUNT(sizes); i++) {
        mr_code rc = mr_size_parse(mr_slice_of(sizes[i].text), &got, &err);
        if ((rc == MR_OK) != sizes[i].ok)
            fail_msg("size '%s'", sizes[i].text);
        if (rc == MR_OK)
            assert_int_equal(got, sizes[i].want);
    }
    struct mr_prng r;
    mr_prng_seed(&r, 2);
    for (int i = 0; i < 2000; i++) {
        int64_t v = (int64_t)(mr_prng_next(&r) >> (13 + mr_prng_below(&r, 50)));
        v *= i % 2 ? 1 : 1000;
        v &= INT64_MAX;
        (void)mr_duration_print(v, text);
        assert_int_equal(mr_duration_parse(mr_slice_of(text), &got, &err),
                         v == INT64_MAX ? MR_BADCONF : MR_OK);
        assert_int_equal(got, v);
        (void)mr_size_print(v, text);
        assert_int_equal(mr_size_parse(mr_slice_of(text), &got, &err), MR_OK);
        assert_int_equal(got, v);
    }
    (void)mr_duration_print(5400000, text);
    assert_string_equal(text, "90m");
    (void)mr_duration_print(86400001, text);
    assert_string_equal(text, "1d1ms");
}

static void times_in_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2025-10-10T13:55:10.123456789Z", true, 1760104510123456789},
        {"2025-10-10 13:55:10Z", true, 1760104510000000000},
        {"2025-10-10t13:55:10.5+02:00", true, 1760097310500000000},
        {"1969-12-31T23:59:59.999Z", true, -1000000},
        {"2016-12-31T23:59:60Z", true, 1483228800000000000},
        {"2024-02-29T00:00:00-00:30", true, 1709166600000000000},
        {"2023-02-29T00:00:00Z", false, 0},
        {"2025-13-01T00:00:00Z", false, 0},
        {"2025-01-01T24:00:00Z", false, 0},
        {"2025-01-01T00:00:00", false, 0},
        {"2025-01-01T00:00:00.Z", false, 0},
        {"2025-01-01T00:00:00Zx", false, 0},
        {"9999-01-01T00:00:00Z", false, 0},
        {"2262-04-11T23:47:16.854775807Z", true, INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", false, 0},
    };
    int64_t got;
    char text[40];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        got = 0;
        if (mr_rfc3339_parse(mr_slice_of(rows[i].text), &got) != rows[i].ok || got != rows[i].want)
            fail_msg("'%s' gives %lld", rows[i].text, (long long)got);
    }
    assert_int_equal(mr_rfc3339_print(1760104510000000000, text), 20);
    assert_string_equal(text, "2025-10-10T13:55:10Z");
    (void)mr_rfc3339_print(1760104510120000000, text);
    assert_string_equal(text, "2025-10-10T13:55:10.120Z");
    (void)mr_rfc3339_print(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
}

static void the_calendar_agrees_with_the_c_library(void **state)
{
    struct mr_prng r;
    char text[128], libc[128], short_text[8];
    static const char format[] = "%Y-%m-%d %H:%M:%S %j %a %A %b %B %e %I %p %y %D %F %T %Z %z %s %%";
    (void)state;
    mr_prng_seed(&r, 4);
    for (int i = 0; i < 20000; i++) {
        mr_ns t = (mr_ns)mr_prng_next(&r), back;
        struct mr_civil c;
        struct tm tm;
        if (i == 0)
            t = INT64_MIN;
        if (i == 1)
            t = INT64_MAX;
        time_t s = t / 1000000000 - (t % 1000000000 < 0);
        assert_non_null(gmtime_r(&s, &tm));
        mr_civil_of_ns(t, &c);
        assert_true(mr_civil_to_ns(&c, &back));
        assert_int_equal(back, t);
        assert_int_equal(c.weekday, tm.tm_wday);
        assert_int_equal(c.yearday, tm.tm_yday + 1);
        tm.tm_zone = "UTC";
        assert_true(strftime(libc, sizeof libc,
                             "%Y-%m-%d %H:%M:%S %j %a %A %b %B %e %I %p %y %D %F %T UTC +0000", &tm));
        int n = mr_time_print(t, format, sizeof format - 1, text, sizeof text);
        assert_true(n > 0);
        assert_memory_equal(text, libc, strlen(libc));
        assert_true(mr_rfc3339_print(t, libc) > 0 && mr_rfc3339_parse(mr_slice_of(libc), &back));
        assert_int_equal(back, t);
    }
    assert_int_equal(mr_time_print(0, "%Y-%m-%d", 8, short_text, sizeof short_text), -1);
    assert_int_equal(mr_time_print(0, "%Q", 2, text, sizeof text), -1);
    assert_int_equal(mr_time_print(0, "%", 1, text, sizeof text), -1);
}

static void times_by_format(void **state)
{
    static const struct {
        const char *text, *format;
        bool ok;
        const char *want;
    } rows[] = {
        {"10/Oct/2025:13:55:10 +0200", "%d/%b/%Y:%H:%M:%S %z", true, "2025-10-10T11:55:10Z"},
        {"Oct  3 07:08:09", "%b %e %H:%M:%S", true, "2024-10-03T07:08:09Z"},
        {"2025-10-10 13:55:10.123", "%Y-%m-%d %H:%M:%S.%L", true, "2025-10-10T13:55:10.123Z"},
        {"2025-10-10 13:55:10.123456", "%F %T.%f", true, "2025-10-10T13:55:10.123456Z"},
        {"Friday, October 10, 2025 1:05 PM", "%A, %B %d, %Y %I:%M %p", true, "2025-10-10T13:05:00Z"},
        {"12:00 AM", "%I:%M %p", true, "2024-01-01T00:00:00Z"},
        {"1760104510.5", "%s.%L", true, "2025-10-10T13:55:10.500Z"},
        {"2025 366", "%Y %j", false, NULL},
        {"2024 366", "%Y %j", true, "2024-12-31T00:00:00Z"},
        {"69 68", "%y %S", false, NULL},
        {"69", "%y", true, "1969-01-01T00:00:00Z"},
        {"68", "%y", true, "2068-01-01T00:00:00Z"},
        {"Fri, 10 Oct 2025 13:55:10 GMT", "%a, %d %b %Y %H:%M:%S %Z", true, "2025-10-10T13:55:10Z"},
        {"Fri, 10 Oct 2025 13:55:10 EST", "%a, %d %b %Y %H:%M:%S %Z", true, "2025-10-10T18:55:10Z"},
        {"Fri, 10 Oct 2025 13:55:10 XYZ", "%a, %d %b %Y %H:%M:%S %Z", false, NULL},
        {"2025-10-10T13:55:10Z", "%Y-%m-%dT%H:%M:%S%z", true, "2025-10-10T13:55:10Z"},
        {"2025-10-10", "%Y-%m-%d %H", false, NULL},
        {"2025-10-10 x", "%Y-%m-%d", false, NULL},
        {"30 Feb 2025", "%d %b %Y", false, NULL},
        {"100%", "%j%%", true, "2024-04-09T00:00:00Z"},
        {"5", "%", false, NULL},
    };
    char text[40];
    int64_t got;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool ok = mr_time_parse(mr_slice_of(rows[i].text), rows[i].format, 2024, &got);
        if (ok)
            (void)mr_rfc3339_print(got, text);
        if (ok != rows[i].ok || (ok && strcmp(text, rows[i].want) != 0))
            fail_msg("'%s' by '%s' gives %s", rows[i].text, rows[i].format, ok ? text : "nothing");
    }
}

static void integers(void **state)
{
    int64_t got;
    char text[24];
    (void)state;
    static const int64_t values[] = {0, 1, -1, 9, 10, INT64_MAX, INT64_MIN, 1234567890123};
    for (size_t i = 0; i < COUNT(values); i++) {
        int n = mr_print_i64(values[i], text);
        assert_true(mr_parse_i64((struct mr_slice){text, (size_t)n}, &got));
        assert_int_equal(got, values[i]);
    }
    static const char *const bad[] = {
        "", "-", "+", "1x", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "0x1"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(mr_parse_i64(mr_slice_of(bad[i]), &got));
}

static double double_of(uint64_t bits)
{
    double f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void check_double(double f)
{
    char text[32], best[40];
    double back;
    int n = mr_print_f64(f, text), precision = 1;
    assert_in_range(n, 1, 31);
    if (!mr_parse_f64((struct mr_slice){text, (size_t)n}, &back) || memcmp(&f, &back, sizeof f) != 0)
        fail_msg("%.17g is written as %s", f, text);
    assert_true(strchr(text, '.') || strchr(text, 'e'));
    do /* as few digits as any that read back the same */
        (void)snprintf(best, sizeof best, "%.*e", precision - 1, f);
    while (strtod(best, NULL) != f && ++precision < 18);
    int digits = 0, zeros = 0;
    bool begun = false;
    for (const char *p = text; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') {
            begun |= *p != '0';
            zeros = *p == '0' ? zeros + 1 : 0;
            digits += begun;
        }
    if (f != 0 && digits - zeros > precision)
        fail_msg("%.17g is written as %s, but %s is shorter", f, text, best);
}

static void doubles_are_written_shortest_and_read_back(void **state)
{
    static const double values[] = {0.0,
                                    -0.0,
                                    1.0,
                                    0.1,
                                    1.5,
                                    100.0,
                                    1e15,
                                    1e16,
                                    1e17,
                                    1e21,
                                    1e22,
                                    1e23,
                                    123456789.125,
                                    5e-324,
                                    1.7976931348623157e308,
                                    2.2250738585072014e-308,
                                    9007199254740993.0,
                                    0.3,
                                    2.0 / 3,
                                    1e-5,
                                    1e-7,
                                    123e-20,
                                    4.35,
                                    0.000123};
    struct mr_prng r;
    char text[32];
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++)
        check_double(values[i]);
    mr_prng_seed(&r, 6);
    for (int i = 0; i < 30000; i++) {
        double f = double_of(mr_prng_next(&r));
        if (isfinite(f))
            check_double(f);
        check_double((double)(int64_t)mr_prng_below(&r, 1000000000) / 1000);
        check_double((double)mr_prng_below(&r, 1000000007) / 1000003);
    }
    (void)mr_print_f64(1.0, text);
    assert_string_equal(text, "1.0");
    (void)mr_print_f64(0.00001, text);
    assert_string_equal(text, "1e-5");
    (void)mr_print_f64(-12.5, text);
    assert_string_equal(text, "-12.5");
}

static void doubles_are_read_as_the_c_library_reads_them(void **state)
{
    static const char *const bad[] = {"",    "-",   "+1", ".5", "5.",    "01",  "1e",   "1e+", "nan",
                                      "inf", "0x1", "1 ", " 1", "1e400", "--1", "1.e1", "1,5"};
    struct mr_prng r;
    double got;
    char text[2000];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (mr_parse_f64(mr_slice_of(bad[i]), &got))
            fail_msg("'%s' was read as %g", bad[i], got);
    mr_prng_seed(&r, 7);
    for (int i = 0; i < 30000; i++) {
        int n = 0, most = i % 50 == 0 ? 1500 : 30, digits = 1 + (int)mr_prng_below(&r, (uint64_t)most);
        if (mr_prng_below(&r, 2))
            text[n++] = '-';
        text[n++] = (char)('1' + mr_prng_below(&r, 9));
        int point = (int)mr_prng_below(&r, (uint64_t)digits + 1);
        for (int k = 1; k <= digits; k++) {
            if (k == point)
                text[n++] = '.';
            text[n++] = (char)('0' + mr_prng_below(&r, 10));
        }
        if (mr_prng_below(&r, 2))
            n += snprintf(text + n, 20, "e%d", (int)mr_prng_below(&r, 660) - 340);
        text[n] = '\0';
        double want = strtod(text, NULL);
        bool ok = mr_parse_f64((struct mr_slice){text, (size_t)n}, &got);
        if (ok != (isfinite(want) != 0) || (ok && memcmp(&got, &want, sizeof got) != 0))
            fail_msg("'%s' was read as %.17g", text, got);
    }
    /* exactly between two doubles, decided by the 770th digit */
    assert_true(mr_parse_f64(MR_SLICE("9007199254740993"), &got));
    assert_true(got == 9007199254740992.0);
    (void)snprintf(text, sizeof text, "9007199254740993.%0900d1", 0);
    assert_true(mr_parse_f64(mr_slice_of(text), &got));
    assert_true(got == 9007199254740994.0);
}

/* One code point after the other, by the definition. */
static bool valid_simply(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        int more = p[i] < 0x80             ? 0
                   : (p[i] & 0xe0) == 0xc0 ? 1
                   : (p[i] & 0xf0) == 0xe0 ? 2
                   : (p[i] & 0xf8) == 0xf0 ? 3
                                           : -1;
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (more < 0 || i + (size_t)more >= len)
            return false;
        uint32_t c = more == 0 ? p[i] : p[i] & (0x3fu >> more);
        for (int k = 1; k <= more; k++) {
            if ((p[i + (size_t)k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + (size_t)k] & 0x3fu);
        }
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        i += (size_t)more + 1;
    }
    return true;
}

static void utf8_agrees_with_a_simple_decoder(void **state)
{
    static const char *const pieces[] = {"a",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\xed\xa0\x80",
                                         "\xc0\x80",
                                         "\xf4\x90\x80\x80",
                                         "\x80",
                                         "\xe0\x80\x80",
                                         "\xf0\x80\x80\x80",
                                         "\xed\x9f\xbf",
                                         "\xff"};
    struct mr_prng r;
    unsigned char text[400];
    int valid = 0;
    (void)state;
    mr_prng_seed(&r, 8);
    for (int i = 0; i < 60000; i++) {
        size_t n = (size_t)mr_prng_below(&r, 150);
        memset(text, 'x', n);
        for (uint64_t k = mr_prng_below(&r, 4); k > 0 && n < 300; k--) {
            const char *piece = pieces[mr_prng_below(&r, i % 2 ? 4 : COUNT(pieces))];
            size_t at = (size_t)mr_prng_below(&r, n + 1), len = strlen(piece);
            memmove(text + at + len, text + at, n - at);
            memcpy(text + at, piece, len);
            n += len;
        }
        if (i % 5 == 0 && n)
            n--; /* cut off */
        bool want = valid_simply(text, n);
        valid += want;
        assert_int_equal(mr_utf8_valid((const char *)text, n), want);
    }
    assert_in_range(valid, 10000, 55000);
    for (uint32_t c = 0; c < 0x1000000; c += 7) { /* every seventh sequence of four bytes that begins so */
        unsigned char b[4] = {(unsigned char)(0xc0 + (c >> 18)), (unsigned char)(c >> 12),
                              (unsigned char)(c >> 6), (unsigned char)c};
        if (mr_utf8_valid((const char *)b, 4) != valid_simply(b, 4))
            fail_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
    }
}

static void the_nearest_word_is_suggested_only_when_near(void **state)
{
    static const char *const words[] = {"batch_size", "paths", "start", "topic", "key"};
    (void)state;
    assert_string_equal(mr_nearest(MR_SLICE("bach_size"), words, 5), "batch_size");
    assert_string_equal(mr_nearest(MR_SLICE("sratt"), words, 5), "start");
    assert_string_equal(mr_nearest(MR_SLICE("pahts"), words, 5), "paths");
    assert_string_equal(mr_nearest(MR_SLICE("topics"), words, 5), "topic");
    assert_null(mr_nearest(MR_SLICE("retention"), words, 5));
    assert_null(mr_nearest(MR_SLICE("x"), words, 5));
    assert_null(mr_nearest(MR_SLICE(""), words, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(times_in_rfc_3339),
        cmocka_unit_test(the_calendar_agrees_with_the_c_library),
        cmocka_unit_test(times_by_format),
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles_are_written_shortest_and_read_back),
        cmocka_unit_test(doubles_are_read_as_the_c_library_reads_them),
        cmocka_unit_test(utf8_agrees_with_a_simple_decoder),
        cmocka_unit_test(the_nearest_word_is_suggested_only_when_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
