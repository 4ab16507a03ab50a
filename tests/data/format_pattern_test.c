/* format_pattern_test.c - regex and grok: lines, and patterns that cannot be compiled. */
#include "data/format_case.h"

#include "data/format_grok.h"

static struct format_case cases[] = {
    {"named groups are fields in the order of the pattern", "regex",
     "{\"pattern\":\"^(?<b>\\\\w+) (\\\\w+) (?<a>\\\\w+)$\"}", "x y z", "{\"b\":\"x\",\"a\":\"z\"}", NULL,
     NULL, 0},
    {"a group that took no part leaves its field out", "regex", "{\"pattern\":\"^(?<a>x)?(?<b>y*)\"}", "z",
     "{\"b\":\"\"}", NULL, NULL, 0},
    {"a pattern matches anywhere unless anchored", "regex", "{\"pattern\":\"(?<n>\\\\d+)\"}", "abc 12 34",
     "{\"n\":\"12\"}", NULL, NULL, 0},
    {"the first pattern that matches counts", "regex",
     "{\"pattern\":[\"^a(?<x>.)\",\"^(?<y>.)b\",\"(?<z>.*)\"]}", "cb", "{\"y\":\"c\"}", NULL, NULL, 0},
    {"text that no pattern matches is rejected", "regex", "{\"pattern\":[\"^a(?<x>.)\",\"^(?<y>.)b\"]}", "zz",
     "!none of the 2 patterns", NULL, NULL, 0},
    {"types are converted and - leaves the field out", "regex",
     "{\"pattern\":\"(?<i>\\\\S+) (?<f>\\\\S+) (?<b>\\\\S+) "
     "(?<m>\\\\S+)\",\"types\":{\"i\":\"int\",\"f\":\"float\","
     "\"b\":\"bool\",\"m\":\"int\"}}",
     "-7 2.5 yes -", "{\"i\":-7,\"f\":2.5,\"b\":true}", NULL, NULL, 0},
    {"a field that is not of its type rejects the event", "regex",
     "{\"pattern\":\"(?<i>\\\\S+)\",\"types\":{\"i\":\"int\"}}", "9223372036854775808",
     "!field 'i' is not of type int: '9223372036854775808'", NULL, NULL, 0},
    {"a time field sets the event time and stays as it is", "regex",
     "{\"pattern\":\"\\\\[(?<ts>[^]]+)\\\\]\",\"time\":{\"field\":\"ts\",\"format\":\"%d/%b/%Y:%H:%M:%S "
     "%z\"}}",
     "[17/May/2015:10:05:03 +0200]", "{\"ts\":\"17/May/2015:10:05:03 +0200\"}", "2015-05-17T08:05:03Z", NULL,
     0},
    {"a time without an offset takes that of the option", "regex",
     "{\"pattern\":\"(?<ts>.+)\",\"time\":{\"field\":\"ts\",\"format\":\"%Y-%m-%d "
     "%H:%M\",\"offset\":\"-01:30\"}}",
     "2020-02-29 23:00", "{\"ts\":\"2020-02-29 23:00\"}", "2020-03-01T00:30:00Z", NULL, 0},
    {"seconds since 1970 keep their fraction", "regex",
     "{\"pattern\":\"(?<ts>\\\\S+)\",\"time\":{\"field\":\"ts\",\"format\":\"unix\"}}", "1700000000.25",
     "{\"ts\":\"1700000000.25\"}", "2023-11-14T22:13:20.250Z", NULL, 0},
    {"a time of another format rejects the event", "regex",
     "{\"pattern\":\"(?<ts>\\\\S+)\",\"time\":{\"field\":\"ts\",\"format\":\"rfc3339\"}}", "today",
     "!field 'ts' is not a time", NULL, NULL, 0},
    {"a time without a year lies nearest to now", "regex",
     "{\"pattern\":\"(?<ts>.+)\",\"time\":{\"field\":\"ts\",\"format\":\"%b %d %H:%M:%S\"}}",
     "Dec 31 23:59:59", "{\"ts\":\"Dec 31 23:59:59\"}", "2025-12-31T23:59:59Z", "2026-01-01T00:00:05Z", 0},
    {"a byte is a character without utf", "regex", "{\"pattern\":\"^(?<a>.)(?<b>.*)$\"}", "\xc3\xa9x",
     "{\"a\":\"\xef\xbf\xbd\",\"b\":\"\xef\xbf\xbdx\"}", NULL, NULL, 0},
    {"two bytes can be a character with utf", "regex", "{\"pattern\":\"^(?<a>.)(?<b>.*)$\",\"utf\":true}",
     "\xc3\xa9x", "{\"a\":\"\xc3\xa9\",\"b\":\"x\"}", NULL, NULL, 0},
    {"bytes that are no characters match nothing with utf", "regex",
     "{\"pattern\":\"^(?<a>.+)$\",\"utf\":true}", "a\xff", "!does not match", NULL, NULL, 0},
    {"a pattern with too many ways to match names its limit", "regex",
     "{\"pattern\":\"^(?<a>(?:x+x+)+[yz])$\",\"match_limit\":10000}",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "!limit 'match_limit'", NULL, NULL, 0},
    {"a NUL byte is a byte", "regex", "{\"pattern\":\"^(?<a>.)(?<b>.)(?<c>.)$\"}", "x\0z",
     "{\"a\":\"x\",\"b\":\"\\u0000\",\"c\":\"z\"}", NULL, NULL, 3},
    {"a carriage return at the end is not matched", "regex", "{\"pattern\":\"^(?<a>.*)$\"}", "ab\r",
     "{\"a\":\"ab\"}", NULL, NULL, 0},

    {"grok: names become fields, with types", "grok",
     "{\"pattern\":\"%{IP:client} %{WORD:verb} %{NUMBER:seconds:float} %{INT:n:int}\"}",
     "192.0.2.7 GET 0.043 -12", "{\"client\":\"192.0.2.7\",\"verb\":\"GET\",\"seconds\":0.043,\"n\":-12}",
     NULL, NULL, 0},
    {"grok: a dot in a field's name makes an object", "grok",
     "{\"pattern\":\"%{WORD:http.method} %{INT:http.status:int} %{WORD:x}\"}", "GET 200 z",
     "{\"http\":{\"method\":\"GET\",\"status\":200},\"x\":\"z\"}", NULL, NULL, 0},
    {"grok: own definitions stand before the library and may use it", "grok",
     "{\"pattern\":\"^%{ORDER:id} %{WORD:w}$\",\"definitions\":{\"ORDER\":\"o-%{INT}\",\"WORD\":\"[a-c]+\"}}",
     "o-17 abc", "{\"id\":\"o-17\",\"w\":\"abc\"}", NULL, NULL, 0},
    {"grok: of a field named twice the one that took part counts", "grok",
     "{\"pattern\":\"^(%{IPV4:from}|%{WORD:from})$\"}", "localhost", "{\"from\":\"localhost\"}", NULL, NULL,
     0},
    {"grok: PCRE2's own groups work beside names", "grok", "{\"pattern\":\"(?<a>\\\\d+)-%{WORD:b}\"}", "12-x",
     "{\"a\":\"12\",\"b\":\"x\"}", NULL, NULL, 0},
    {"grok: an escaped %{ is text", "grok", "{\"pattern\":\"\\\\%\\\\{%{WORD:a}\"}", "%{x", "{\"a\":\"x\"}",
     NULL, NULL, 0},
    {"grok: a syslog line is read by its library name", "grok", "{\"pattern\":\"^%{SYSLOGLINE}\"}",
     "Oct  1 22:14:15 my-host.example su[230]: failed",
     "{\"timestamp\":\"Oct  1 22:14:15\",\"host\":\"my-host.example\","
     "\"program\":\"su\",\"pid\":\"230\",\"message\":\"failed\"}",
     NULL, NULL, 0},
};
CASES(cases)

/* What a library pattern takes in, whole, and what it does not. */
static struct {
    const char *name, *yes, *no;
} library[] = {
    {"WORD", "abc_1", "-"},
    {"INT", "-12", "x"},
    {"POSINT", "12", "0"},
    {"NONNEGINT", "0", "x"},
    {"NUMBER", "-1.5", "x"},
    {"NUMBER", ".5", "."},
    {"BASE16NUM", "0xBEEF", "xyz"},
    {"UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456"},
    {"USER", "a.b-c_1", "@"},
    {"EMAILADDRESS", "ann+x@example.org", "ann@"},
    {"LOGLEVEL", "WARNING", "LOUD"},
    {"LOGLEVEL", "Error", "Errors"},
    {"QS", "\"a \\\" b\"", "\"a"},
    {"IPV4", "255.1.20.0", "256.1.1.1"},
    {"IPV6", "::", "1:2"},
    {"IPV6", "::1", ":::1"},
    {"IPV6", "2001:db8::8:800:200c:417a", "2001:db8::8::1"},
    {"IPV6", "2001:db8:0:0:8:800:200c:417a", "2001:db8:0:0:8:800:200c"},
    {"IPV6", "::ffff:192.0.2.128", "::ffff:192.0.2.1280"},
    {"IPV6", "fe80::1%eth0", "12345::"},
    {"HOSTNAME", "a-b.example.org", "-"},
    {"IPORHOST", "localhost", "!"},
    {"HOSTPORT", "example.org:8080", "example.org"},
    {"MAC", "00:1a:2B:3c:4d:5e", "00:1a:2b:3c:4d"},
    {"MAC", "001a.2b3c.4d5e", "001a.2b3c"},
    {"PATH", "/usr/bin/x", "usr"},
    {"PATH", "C:\\a\\b", "C:"},
    {"URI", "https://u@example.org:8/a/b?c=d#e", "example.org/a"},
    {"URI", "http://[::1]:80/", "http//x"},
    {"URIPATHPARAM", "/a/b?c=d&e", "a?b"},
    {"MONTH", "September", "Smarch"},
    {"MONTHDAY", "31", "32"},
    {"MONTHNUM", "12", "13"},
    {"YEAR", "2026", "202"},
    {"DAY", "Wednesday", "Wedsday"},
    {"TIME", "23:59:60.123", "24:00"},
    {"TIMESTAMP_ISO8601", "2026-03-01T00:00:00.000+01:00", "2026-13-01T00:00:00"},
    {"TIMESTAMP_ISO8601", "2015-07-29 17:41:44,747", "2015-07-29"},
    {"HTTPDATE", "17/May/2015:10:05:03 +0000", "17/May/2015 10:05:03"},
    {"SYSLOGTIMESTAMP", "Oct  1 22:14:15", "10 1 22:14:15"},
    {"DATE", "12/31/2026", "2026"},
    {"DATESTAMP_RFC2822", "Mon, 15 Aug 2005 15:52:01 +0000", "15 Aug 2005"},
    {"PROG", "sshd(pam_unix)", "["},
    {"JAVACLASS", "org.x.Y$Z", "1x"},
    {"TTY", "/dev/pts/3", "/dev/null"},
};

static void library_takes_in_what_it_should_and_nothing_else(void **state)
{
    (void)state;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    for (size_t i = 0; i < sizeof library / sizeof *library; i++) {
        struct decoder d;
        struct mr_err err;
        char options[256];
        (void)snprintf(options, sizeof options, "{\"pattern\":\"^%%{%s:x}$\"}", library[i].name);
        if (decoder_open(&d, "grok", options, &err))
            fail_msg("%s: %s", library[i].name, err.text);
        struct mr_batch *b = case_decode(&d, pool, mr_slice_of(library[i].yes), NULL, 0);
        struct mr_value v = mr_batch_get(b, 0, "x", 1);
        if (b->fate[0] != MR_KEPT || !mr_slice_eq(mr_value_text(&v), mr_slice_of(library[i].yes)))
            fail_msg("%s does not take in '%s'", library[i].name, library[i].yes);
        mr_batch_free(b);
        b = case_decode(&d, pool, mr_slice_of(library[i].no), NULL, 0);
        if (b->fate[0] != MR_REJECTED)
            fail_msg("%s takes in '%s'", library[i].name, library[i].no);
        mr_batch_free(b);
        decoder_close(&d);
    }
    mr_batch_pool_free(pool);
}

static void every_pattern_of_the_library_compiles_and_is_in_the_page(void **state)
{
    (void)state;
    const char *doc = mr_format_find("grok", 4)->doc;
    for (size_t i = 0; mr_grok_library[i].name; i++) {
        struct decoder d;
        struct mr_err err;
        char options[256];
        (void)snprintf(options, sizeof options, "{\"pattern\":\"%%{%s:whole_x}\"}", mr_grok_library[i].name);
        if (decoder_open(&d, "grok", options, &err))
            fail_msg("%s: %s", mr_grok_library[i].name, err.text);
        decoder_close(&d);
        if (!strstr(doc, mr_grok_library[i].name))
            fail_msg("%s is not in the page of grok", mr_grok_library[i].name);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(mr_grok_library[i].name, mr_grok_library[k].name);
    }
}

static struct {
    const char *format, *options, *option, *message;
    uint32_t at;
} bad[] = {
    {"regex", "{\"pattern\":\"(?<a>x)(\"}", "pattern", "missing closing parenthesis", 8},
    {"regex", "{\"pattern\":\"ab[\"}", "pattern", "missing terminating ]", 3},
    {"regex", "{\"pattern\":[\"(?<a>x)\",\"(?<b\"]}", "pattern", "pattern 2: ", 4},
    {"regex", "{\"pattern\":\"abc\"}", "pattern", "no named group", 0},
    {"regex", "{\"pattern\":[]}", "pattern", "'pattern' is empty", 0},
    {"regex", "{\"pattern\":\"(*UTF)(?<a>x)\"}", "pattern", "disabled", 6},
    {"regex", "{\"pattern\":\"(?<status>x)\",\"types\":{\"statsu\":\"int\"}}", "types",
     "no group of the pattern is named 'statsu'; did you mean 'status'?", 0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"types\":{\"a\":\"integer\"}}", "types",
     "field 'a': unknown type 'integer'; use int, float, bool or string", 0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"types\":\"int\"}", "types", "write a map", 0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"time\":{\"field\":\"b\",\"format\":\"%Y\"}}", "time", "'b'", 0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"time\":{\"field\":\"a\"}}", "time", "needs 'field' and 'format'",
     0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"time\":{\"feild\":\"a\"}}", "time", "did you mean 'field'?", 0},
    {"regex", "{\"pattern\":\"(?<a>x)\",\"time\":{\"field\":\"a\",\"format\":\"%Y\",\"offset\":\"2\"}}",
     "time", "'2' is no offset", 0},
    {"grok", "{\"pattern\":\"%{WORD:a} %{WRD:b}\"}", "pattern",
     "unknown pattern '%{WRD}'; did you mean 'WORD'?", 10},
    {"grok", "{\"pattern\":\"%{WORD:a} %{MYNAM:b}\",\"definitions\":{\"MYNAME\":\"x\"}}", "pattern",
     "did you mean 'MYNAME'?", 10},
    {"grok", "{\"pattern\":\"%{WORD:a} ((x)\"}", "pattern", "missing closing parenthesis", 14},
    {"grok", "{\"pattern\":\"%{WORD:a} %{BAD:b} x\",\"definitions\":{\"BAD\":\"(\"}}", "pattern",
     "missing closing", 20},
    {"grok", "{\"pattern\":\"%{WORD:a:integer}\"}", "pattern", "unknown type 'integer'", 0},
    {"grok", "{\"pattern\":\"%{WORD:a b}\"}", "pattern", "'a b' is no name for a field", 0},
    {"grok", "{\"pattern\":\"x %{WORD:a\"}", "pattern", "has no '}'", 2},
    {"grok", "{\"pattern\":\"%{A:a}\",\"definitions\":{\"A\":\"%{B}\",\"B\":\"%{A}\"}}", "pattern",
     "does it stand for itself?", 0},
    {"grok",
     "{\"pattern\":\"%{A1:a}\",\"definitions\":{\"A1\":\"%{A2}%{A2}%{A2}%{A2}%{A2}%{A2}%{A2}%{A2}\","
     "\"A2\":\"%{A3}%{A3}%{A3}%{A3}%{A3}%{A3}%{A3}%{A3}\",\"A3\":\"%{A4}%{A4}%{A4}%{A4}%{A4}%{A4}%{A4}%{A4}"
     "\","
     "\"A4\":\"%{A5}%{A5}%{A5}%{A5}%{A5}%{A5}%{A5}%{A5}\",\"A5\":\"%{IPV6}%{IPV6}%{IPV6}%{IPV6}\"}}",
     "pattern", "too long when its names are written out", 0},
    {"grok", "{\"pattern\":\"%{WORD}\"}", "pattern", "has no field", 0},
    {"grok", "{\"pattern\":\"%{WORD:a}\",\"definitions\":{\"A\":3}}", "definitions", "not a string", 0},
    {"csv", "{\"delimiter\":\"::\"}", "delimiter", "'::' is no delimiter", 0},
    {"csv", "{\"columns\":[\"price\"],\"types\":{\"prize\":\"int\"}}", "types", "did you mean 'price'?", 0},
    {"csv", "{\"columns\":[\"a\"],\"time\":{\"field\":\"bcd\",\"format\":\"unix\"}}", "time",
     "no column is named 'bcd'", 0},
    {"csv", "{\"types\":{\"a\":3}}", "types", "an int", 0},
    {"syslog", "{\"offset\":\"+2\"}", "offset", "no offset from UTC", 0},
};

static void what_is_wrong_is_said_with_its_option_and_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct decoder d;
        struct mr_err err;
        assert_int_not_equal(decoder_open(&d, bad[i].format, bad[i].options, &err), MR_OK);
        if (!strstr(err.text, bad[i].message) || !err.option || strcmp(err.option, bad[i].option) != 0 ||
            err.at != bad[i].at)
            fail_msg("%s %s\n   says %s:%u: %s", bad[i].format, bad[i].options, err.option ? err.option : "?",
                     err.at, err.text);
        decoder_close(&d);
    }
}

/* The time of the line before is kept, but not across another now when the text has no year. */
static void time_without_a_year_follows_now(void **state)
{
    (void)state;
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    static const char *const now[] = {"2025-06-01T00:00:00Z", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"};
    static const char *const want[] = {"2025-05-05T01:02:03Z", "2030-05-05T01:02:03Z",
                                       "2030-05-05T01:02:03Z"};
    assert_int_equal(decoder_open(&d, "grok",
                                  "{\"pattern\":\"^%{SYSLOGTIMESTAMP:t}\",\"time\":{\"field\":\"t\","
                                  "\"format\":\"%b %e %H:%M:%S\"}}",
                                  &err),
                     MR_OK);
    for (int i = 0; i < 3; i++) {
        char got[40];
        mr_ns at;
        assert_true(mr_rfc3339_parse(mr_slice_of(now[i]), &at));
        struct mr_batch *b = case_decode(&d, pool, MR_SLICE("May  5 01:02:03 x"), NULL, at);
        (void)mr_rfc3339_print(b->time[0], got);
        assert_string_equal(got, want[i]);
        mr_batch_free(b);
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

/* Each allocation of open fails once: the code says so, and close gives back what there was. */
static void no_memory_at_open_is_an_error_and_no_leak(void **state)
{
    (void)state;
    static const char *const options[][2] = {
        {"grok",
         "{\"pattern\":\"%{IP:a} %{NUMBER:b:int}\",\"types\":{\"a\":\"string\"},\"time\":{\"field\":\"a\","
         "\"format\":\"%Y\"}}"},
        {"regex", "{\"pattern\":[\"(?<a>x)\",\"(?<b>x)\"]}"},
        {"logfmt", "{\"types\":{\"a\":\"int\"}}"},
        {"csv", "{\"columns\":[\"a\"]}"},
    };
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            struct decoder d;
            struct mr_err err;
            assert_true(n < 200);
            assert_int_equal(decoder_open(&d, options[k][0], options[k][1], &err), MR_OK);
            d.format->close(d.self); /* the options are in d: open again, now without memory */
            mr_alloc_fail_at(n);
            mr_code rc = d.format->open(d.self, &err);
            mr_alloc_fail_at(0);
            failed = rc != MR_OK;
            if (failed)
                assert_int_equal(rc, MR_MEMORY);
            decoder_close(&d);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_takes_in_what_it_should_and_nothing_else),
        cmocka_unit_test(every_pattern_of_the_library_compiles_and_is_in_the_page),
        cmocka_unit_test(what_is_wrong_is_said_with_its_option_and_byte),
        cmocka_unit_test(time_without_a_year_follows_now),
        cmocka_unit_test(no_memory_at_open_is_an_error_and_no_leak),
    };
    cases_make();
    int failed = _cmocka_run_group_tests("patterns", cases_tests, sizeof cases / sizeof *cases, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
