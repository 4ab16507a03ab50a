/* time.h - durations, sizes, and points in time as text. Pure; no clock is read here.
 *
 * Parsers take the whole slice or refuse it. Errors say what is wrong and what is allowed.
 */
#ifndef MR_BASE_TIME_H
#define MR_BASE_TIME_H

#include <millrace/types.h>

/* "250ms" "10s" "1m" "2h" "7d", sums such as "1h30m"; a bare number is refused (its unit is missing), 0 is
 * fine. */
mr_code mr_duration_parse(struct mr_slice text, mr_ms *out, struct mr_err *err);
/* "512" "64KiB" "4MiB" "1GiB" "10KB" "1MB" "1GB" */
mr_code mr_size_parse(struct mr_slice text, int64_t *out, struct mr_err *err);
int mr_duration_print(mr_ms ms, char out[32]); /* shortest exact form; returns length */
int mr_size_print(int64_t bytes, char out[32]);

/* Civil time, proleptic Gregorian, UTC; any int64 nanosecond instant. */
struct mr_civil {
    int32_t year;
    uint8_t month, day, hour, minute, second; /* month and day from 1; second up to 60 */
    uint32_t nano;
    int32_t offset_s; /* east of UTC */
    uint8_t weekday;  /* 0 is Sunday; out only */
    uint16_t yearday; /* 1 to 366; out only */
};
bool mr_civil_to_ns(const struct mr_civil *c, mr_ns *out); /* false: no such date, or beyond int64 ns */
void mr_civil_of_ns(mr_ns t, struct mr_civil *out);

/* RFC 3339, "2025-10-10T13:55:10.123456789Z", also a blank for T and numeric offsets. */
bool mr_rfc3339_parse(struct mr_slice text, mr_ns *out);
int mr_rfc3339_print(mr_ns t, char out[40]); /* UTC, fraction only as long as needed (0, 3, 6 or 9 digits) */

/* strptime's and strftime's common conversions: %Y %m %d %H %M %S %y %b %B %a %A %e %j %z %Z %s %L (ms) %f
 * (fraction, 1 to 9 digits) %p %I %D %F %T %n %t %%. `default_year`: used when the format has no year.
 * Without an offset in the text it is UTC. */
bool mr_time_parse(struct mr_slice text, const char *format, int32_t default_year, mr_ns *out);
int mr_time_print(mr_ns t, const char *format, size_t format_len, char *out,
                  size_t cap); /* -1: too long or bad */

#endif
