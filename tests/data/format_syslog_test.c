/* format_syslog_test.c - RFC 5424 to the letter, RFC 3164 as devices write it. */
#include "data/format_case.h"

#define AUTH_CRIT   "\"facility\":4,\"facility_name\":\"auth\",\"severity\":2,\"severity_name\":\"crit\""
#define USER_NOTICE "\"facility\":1,\"facility_name\":\"user\",\"severity\":5,\"severity_name\":\"notice\""

static struct format_case cases[] = {
    {"5424: all parts, structured data nested", "syslog", NULL,
     "<34>1 2003-10-11T22:14:15.003+02:00 host.example su 230 ID47 [ex@1 a=\"1\" b=\"\\\"\\\\\\]\\n\"][o] "
     "\xef\xbb\xbfhi there",
     "{" AUTH_CRIT ",\"time\":\"2003-10-11T22:14:15.003+02:00\",\"host\":\"host.example\",\"app\":\"su\","
     "\"procid\":\"230\",\"message\":\"hi there\",\"msgid\":\"ID47\",\"sd\":{\"ex@1\":{\"a\":\"1\","
     "\"b\":\"\\\"\\\\]\\\\n\"},\"o\":{}}}",
     "2003-10-11T20:14:15.003Z", NULL, 0},
    {"5424: - leaves a field out", "syslog", NULL, "<34>1 - - - - - -", "{" AUTH_CRIT "}", NULL, NULL, 0},
    {"5424: a message may be empty", "syslog", NULL, "<34>1 - - - - - - ", "{" AUTH_CRIT ",\"message\":\"\"}",
     NULL, NULL, 0},
    {"5424: of a parameter given twice the last wins", "syslog", NULL,
     "<34>1 - - - - - [a x=\"1\" x=\"2\"][a y=\"3\"]", "{" AUTH_CRIT ",\"sd\":{\"a\":{\"y\":\"3\"}}}", NULL,
     NULL, 0},
    {"5424: a message that begins with [ is not structured data", "syslog", NULL, "<34>1 - - - - - - [x]",
     "{" AUTH_CRIT ",\"message\":\"[x]\"}", NULL, NULL, 0},
    {"5424: a time that is none is rejected at its byte", "syslog", NULL, "<34>1 yesterday h a p m - x",
     "!byte 6: not RFC 5424; expected a time", NULL, NULL, 0},
    {"5424: structured data that does not end is rejected", "syslog", NULL, "<34>1 - - - - - [a x=\"1\"",
     "!expected a blank or ]", NULL, NULL, 0},
    {"5424: a value without quotes is rejected", "syslog", NULL, "<34>1 - - - - - [a x=1]",
     "!expected name=\"value\"", NULL, NULL, 0},
    {"5424: a message of 3164 is rejected when only 5424 is wanted", "syslog", "{\"format\":\"rfc5424\"}",
     "<34>Oct 11 22:14:15 h su: x", "!expected version 1", NULL, NULL, 0},
    {"5424: a message without priority is rejected", "syslog", "{\"format\":\"rfc5424\"}", "1 - - - - - -",
     "!expected <0> to <191>", NULL, NULL, 0},
    {"5424: text without a blank behind the structured data is rejected", "syslog", NULL,
     "<34>1 - - - - - -x", "!expected a blank or the end", NULL, NULL, 0},

    {"3164: the classic line", "syslog", NULL, "<34>Oct 11 22:14:15 mymachine su[230]: 'su root' failed",
     "{" AUTH_CRIT ",\"time\":\"Oct 11 22:14:15\",\"host\":\"mymachine\",\"app\":\"su\",\"procid\":\"230\","
     "\"message\":\"'su root' failed\"}",
     "2025-10-11T22:14:15Z", NULL, 0},
    {"3164: without priority it is user.notice", "syslog", NULL, "Feb  9 01:02:03 h cron: x",
     "{" USER_NOTICE ",\"time\":\"Feb  9 01:02:03\",\"host\":\"h\",\"app\":\"cron\",\"message\":\"x\"}",
     "2026-02-09T01:02:03Z", NULL, 0},
    {"3164: the year is that of tomorrow, not of last year", "syslog", NULL, "<34>Jan  1 00:00:01 h a: x",
     "{" AUTH_CRIT ",\"time\":\"Jan  1 00:00:01\",\"host\":\"h\",\"app\":\"a\",\"message\":\"x\"}",
     "2026-01-01T00:00:01Z", "2025-12-31T23:59:58Z", 0},
    {"3164: 29 February is sought in a year that has one", "syslog", NULL, "<34>Feb 29 00:00:00 h a: x",
     "{" AUTH_CRIT ",\"time\":\"Feb 29 00:00:00\",\"host\":\"h\",\"app\":\"a\",\"message\":\"x\"}",
     "2024-02-29T00:00:00Z", "2025-01-10T00:00:00Z", 0},
    {"3164: the offset of the senders is taken off", "syslog", "{\"offset\":\"+02:00\"}",
     "<34>Mar  1 01:00:00 h a: x",
     "{" AUTH_CRIT ",\"time\":\"Mar  1 01:00:00\",\"host\":\"h\",\"app\":\"a\",\"message\":\"x\"}",
     "2026-02-28T23:00:00Z", NULL, 0},
    {"3164: a tag right behind the time means no host", "syslog", NULL, "<34>Oct 11 22:14:15 su[230]: x: y",
     "{" AUTH_CRIT ",\"time\":\"Oct 11 22:14:15\",\"app\":\"su\",\"procid\":\"230\",\"message\":\"x: y\"}",
     "2025-10-11T22:14:15Z", NULL, 0},
    {"3164: without a tag all behind the host is message", "syslog", NULL,
     "<34>Oct 11 22:14:15 h link is down: eth0",
     "{" AUTH_CRIT ",\"time\":\"Oct 11 22:14:15\",\"host\":\"h\",\"message\":\"link is down: eth0\"}",
     "2025-10-11T22:14:15Z", NULL, 0},
    {"3164: an IPv6 address is a host", "syslog", NULL, "<34>Oct 11 22:14:15 fe80::1 a: x",
     "{" AUTH_CRIT ",\"time\":\"Oct 11 22:14:15\",\"host\":\"fe80::1\",\"app\":\"a\",\"message\":\"x\"}",
     "2025-10-11T22:14:15Z", NULL, 0},
    {"3164: a line without time and host keeps its tag", "syslog", NULL, "<34>myapp[7]: hello",
     "{" AUTH_CRIT ",\"app\":\"myapp\",\"procid\":\"7\",\"message\":\"hello\"}", NULL, NULL, 0},
    {"3164: plain text is a message", "syslog", NULL, "hello world",
     "{" USER_NOTICE ",\"message\":\"hello world\"}", NULL, NULL, 0},
    {"3164: a priority beyond 191 is text", "syslog", NULL, "<192>x y",
     "{" USER_NOTICE ",\"message\":\"<192>x y\"}", NULL, NULL, 0},
    {"3164: an ISO time with its offset", "syslog", NULL, "<34>2026-02-01T10:00:00.25+01:00 h a: x",
     "{" AUTH_CRIT
     ",\"time\":\"2026-02-01T10:00:00.25+01:00\",\"host\":\"h\",\"app\":\"a\",\"message\":\"x\"}",
     "2026-02-01T09:00:00.250Z", NULL, 0},
    {"3164: a fraction and a year as some devices write them", "syslog", NULL,
     "<34>Oct 11 2019 22:14:15.123 h a: x",
     "{" AUTH_CRIT ",\"time\":\"Oct 11 2019 22:14:15.123\",\"host\":\"h\",\"app\":\"a\",\"message\":\"x\"}",
     "2019-10-11T22:14:15.123Z", NULL, 0},
    {"3164: a Cisco line with number, star and zone", "syslog", NULL,
     "<34>123: *Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I: Configured",
     "{" AUTH_CRIT
     ",\"time\":\"Mar  1 18:46:11.123\",\"app\":\"%SYS-5-CONFIG_I\",\"message\":\"Configured\"}",
     "2026-03-01T18:46:11.123Z", NULL, 0},
    {"3164: a Cisco line with a colon behind the host", "syslog", NULL,
     "<34>Oct 11 22:14:15 10.0.0.1 : %ASA-6-302013: Built",
     "{" AUTH_CRIT
     ",\"time\":\"Oct 11 22:14:15\",\"host\":\"10.0.0.1\",\"app\":\"%ASA-6-302013\",\"message\":\"Built\"}",
     "2025-10-11T22:14:15Z", NULL, 0},
    {"3164: a day that the month does not have is text", "syslog", NULL, "<34>Apr 31 00:00:00 h a: x",
     "{" AUTH_CRIT ",\"message\":\"Apr 31 00:00:00 h a: x\"}", NULL, NULL, 0},
    {"3164: newline, NUL and carriage return at the end are taken off", "syslog", NULL, "<34>x y\n\0\r",
     "{" AUTH_CRIT ",\"message\":\"x y\"}", NULL, NULL, 10},
    {"3164: an empty text is rejected", "syslog", NULL, "", "!the text is empty", NULL, NULL, 0},
    {"3164: a text of newlines is rejected", "syslog", NULL, "\n\n", "!the text is empty", NULL, NULL, 0},
    {"3164: 5424 is read as 3164 when that is wanted", "syslog", "{\"format\":\"rfc3164\"}", "<34>1 - - a",
     "{" AUTH_CRIT ",\"message\":\"1 - - a\"}", NULL, NULL, 0},
};
CASES(cases)

/* The year is nearest to now, whatever day it is: against the definition. */
static void year_of_a_3164_time_is_within_six_months_of_now(void **state)
{
    (void)state;
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    assert_int_equal(decoder_open(&d, "syslog", NULL, &err), MR_OK);
    const mr_ns day = 86400ll * 1000000000;
    for (mr_ns now = 1767225600000000000; now < 1767225600000000000 + 366 * day;
         now += 13 * day + 7777777777) {
        for (int m = 0; m < 12; m++) {
            char line[64];
            (void)snprintf(line, sizeof line, "<34>%s 15 12:00:00 h a: x", months[m]);
            struct mr_batch *b = case_decode(&d, pool, mr_slice_of(line), NULL, now);
            assert_int_equal(b->fate[0], MR_KEPT);
            mr_ns apart = b->time[0] > now ? b->time[0] - now : now - b->time[0];
            assert_true(apart <= 183 * day);
            mr_batch_free(b);
        }
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(year_of_a_3164_time_is_within_six_months_of_now),
    };
    cases_make();
    int failed = _cmocka_run_group_tests("syslog", cases_tests, sizeof cases / sizeof *cases, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
