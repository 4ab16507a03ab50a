/* number.c - integers and doubles, from and to text, exactly.
 *
 * Reading: up to 15 digits and powers of ten up to 22 are exact in a double, so one multiplication or
 * division rounds correctly (Clinger 1990); the rest is the C library's, in the C locale whatever the process
 * has set. Writing: the same law turned round. For k = 0, 1, 2 ... the nearest d to f * 10^k is tried; d
 * below 10^15 is exact, d / 10^k rounds correctly, and two decimals of 15 digits never share a double, so the
 * first that gives f back is the shortest. What needs 16 or 17 digits, or is very large or small, goes the
 * long way.
 */
#include "base/assert.h"
#include "base/text.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static const double power10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

enum { EXACT_DIGITS = 15, EXACT_POWER = 22, STICKY_DIGITS = 800 }; /* 768 digits decide any double */

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double slow_double(const char *text)
{
    (void)pthread_once(&c_locale_once, make_c_locale);
    return c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
}

bool mr_parse_i64(struct mr_slice text, int64_t *out)
{
    size_t i = 0;
    bool negative = text.len > 0 && text.p[0] == '-';
    uint64_t v = 0, most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (text.len > 0 && (text.p[0] == '-' || text.p[0] == '+'))
        i = 1;
    if (i == text.len)
        return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.p[i] - '0';
        if (digit > 9 || v > (most - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* More digits than any double needs: the first ones, then a 1 that stands for whatever else is not zero. */
static double long_double_text(const char *p, const char *end, bool negative, int64_t exponent)
{
    char text[STICKY_DIGITS + 40];
    size_t n = 0, digits = 0;
    bool point = false, rest = false;
    if (negative)
        text[n++] = '-';
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (digits == 0 && *p == '0') {
            if (point)
                exponent--;
            continue;
        }
        if (digits < STICKY_DIGITS) {
            text[n++] = *p;
            digits++;
            if (point)
                exponent--;
        } else {
            rest |= *p != '0';
            if (!point)
                exponent++;
        }
    }
    if (digits == 0)
        return negative ? -0.0 : 0.0;
    if (rest) {
        text[n++] = '1';
        exponent--;
    }
    if (exponent > 99999)
        exponent = 99999;
    if (exponent < -99999)
        exponent = -99999;
    (void)snprintf(text + n, sizeof text - n, "e%d", (int)exponent);
    return slow_double(text);
}

bool mr_parse_f64(struct mr_slice s, double *out)
{
    const char *p = s.p, *end = s.p + s.len;
    bool negative = false;
    if (s.len == 0)
        return false;
    if (*p == '-') {
        negative = true;
        p++;
    }
    const char *begin = p;
    uint64_t mantissa = 0;
    int digits = 0; /* that count */
    int64_t scale = 0, exponent = 0;
    if (p == end || !is_digit(*p) || (*p == '0' && end - p > 1 && is_digit(p[1])))
        return false;
    for (; p < end && is_digit(*p); p++) {
        if (digits || *p != '0')
            digits++;
        if (digits <= 18)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    }
    if (p < end && *p == '.') {
        const char *first = ++p;
        for (; p < end && is_digit(*p); p++) {
            if (digits || *p != '0')
                digits++;
            if (digits <= 18) {
                mantissa = mantissa * 10 + (uint64_t)(*p - '0');
                scale--;
            }
        }
        if (p == first)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool minus = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            minus = *p++ == '-';
        const char *first = p;
        for (; p < end && is_digit(*p); p++)
            if (exponent < 1000000)
                exponent = exponent * 10 + (*p - '0');
        if (p == first)
            return false;
        if (minus)
            exponent = -exponent;
    }
    if (p != end)
        return false;
    double f;
    scale += exponent;
    if (digits <= 18 && mantissa <= (UINT64_C(1) << 53) && scale >= -EXACT_POWER && scale <= EXACT_POWER) {
        f = (double)mantissa;
        if (scale < 0)
            f /= power10[-scale];
        else
            f *= power10[scale];
        if (negative)
            f = -f;
    } else {
        f = long_double_text(begin, end, negative, exponent);
    }
    if (isinf(f))
        return false;
    *out = f;
    return true;
}

int mr_print_i64(int64_t i, char out[24])
{
    char text[24];
    int n = 0, len = 0;
    uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do
        text[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    if (i < 0)
        out[len++] = '-';
    while (n)
        out[len++] = text[--n];
    out[len] = '\0';
    return len;
}

/* digits d1 d2 ... dn stand for 0.d1d2...dn * 10^point */
static int lay_out(bool negative, const char *digits, int n, int point, char out[32])
{
    int len = 0;
    if (negative)
        out[len++] = '-';
    if (point > -4 && point <= 0) { /* 0.000123 */
        out[len++] = '0';
        out[len++] = '.';
        for (int i = point; i < 0; i++)
            out[len++] = '0';
        for (int i = 0; i < n; i++)
            out[len++] = digits[i];
    } else if (point > 0 && point <= 16) { /* 123.0, 123.45 */
        for (int i = 0; i < point; i++)
            out[len++] = i < n ? digits[i] : '0';
        out[len++] = '.';
        if (n <= point)
            out[len++] = '0';
        for (int i = point; i < n; i++)
            out[len++] = digits[i];
    } else { /* 1.23e-7 */
        out[len++] = digits[0];
        if (n > 1)
            out[len++] = '.';
        for (int i = 1; i < n; i++)
            out[len++] = digits[i];
        out[len++] = 'e';
        int e = point - 1;
        if (e < 0) {
            out[len++] = '-';
            e = -e;
        }
        if (e >= 100)
            out[len++] = (char)('0' + e / 100);
        if (e >= 10)
            out[len++] = (char)('0' + e / 10 % 10);
        out[len++] = (char)('0' + e % 10);
    }
    out[len] = '\0';
    return len;
}

int mr_print_f64(double f, char out[32])
{
    bool negative = signbit(f) != 0;
    char digits[32];
    int n = 0;
    if (isnan(f) || isinf(f)) /* not JSON: the caller knows what to do with them */
        return snprintf(out, 32, "%s", isnan(f) ? "nan" : negative ? "-inf" : "inf");
    double a = fabs(f);
    if (a == 0)
        return lay_out(negative, "0", 1, 1, out);
    if (a >= 1e-5 && a < 1e15) {
        for (int k = 0; k <= EXACT_POWER; k++) {
            double scaled = a * power10[k];
            if (scaled >= 1e15)
                break;
            uint64_t d = (uint64_t)(scaled + 0.5);
            if (d == 0 || (double)d / power10[k] != a)
                continue;
            char text[24];
            n = mr_print_i64((int64_t)d, text);
            int point = n - k;
            while (n > 1 && text[n - 1] == '0')
                n--;
            return lay_out(negative, text, n, point, out);
        }
    }
    char text[40];
    for (int precision = a < 2.3e-308 ? 1 : 15; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision - 1, a);
        if (precision > 1)
            text[1] = '.'; /* whatever the locale says */
        if (precision == 17 || slow_double(text) == a)
            break;
    }
    const char *e = strchr(text, 'e');
    for (const char *p = text; p < e; p++)
        if (*p != '.')
            digits[n++] = *p;
    mr_assert(n > 0); /* "%e" writes a digit first */
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return lay_out(negative, digits, n, atoi(e + 1) + 1, out);
}
