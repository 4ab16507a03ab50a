/* format_kinds.h - every format with options that let it take something, for hostile bytes. */
#ifndef MR_TESTS_DATA_FORMAT_KINDS_H
#define MR_TESTS_DATA_FORMAT_KINDS_H

#include <stddef.h>

static const struct {
    const char *format, *options, *line;
} format_kinds[] = {
    {"json", NULL, "{\"a\":[1,{\"b\":\"\\u00e9\"}],\"c\":null}"},
    {"combined", NULL,
     "192.0.2.7 - ann [17/May/2015:10:05:03 +0200] \"GET /a HTTP/1.1\" 200 512 \"-\" \"x \\\" y\" 0.01"},
    {"common", NULL, "192.0.2.7 - ann [17/May/2015:10:05:03 +0200] \"GET /a HTTP/1.1\" 200 512"},
    {"regex",
     "{\"pattern\":[\"^(?<a>\\\\d+) (?<b>\\\\S+) \\\"(?<c>[^\\\"]*)\\\"\",\"^(?<d>\\\\w+)=(?<e>.*)$\"],"
     "\"types\":{\"a\":\"int\",\"b\":\"float\"},\"match_limit\":20000}",
     "123 4.5 \"x y\""},
    {"regex", "{\"pattern\":\"^(?<a>.)(?<b>\\\\w*)(?<c>.*)$\",\"utf\":true,\"match_limit\":20000}",
     "\xc3\xa9tude x"},
    {"grok",
     "{\"pattern\":[\"%{IP:ip} %{HTTPDATE:ts} %{NUMBER:n:float}\",\"%{SYSLOGLINE}\",\"%{URI:u.v}\"],"
     "\"time\":{\"field\":\"ts\",\"format\":\"%d/%b/%Y:%H:%M:%S %z\"},\"match_limit\":20000}",
     "::1 17/May/2015:10:05:03 +0200 1.5"},
    {"logfmt", "{\"types\":{\"n\":\"int\"},\"time\":{\"field\":\"ts\",\"format\":\"unix\"}}",
     "level=info msg=\"a \\\"b\\\" \\u00e9\" n=12 ts=1700000000.5 word"},
    {"csv", NULL, "a,\"b \"\"c\"\"\",,d"},
    {"csv", "{\"delimiter\":\"tab\",\"trim\":true,\"strict\":false,\"columns\":[\"x\",\"y\"]}",
     " a \t\"b\" \tc"},
    {"syslog", NULL, "<34>1 2003-10-11T22:14:15.003Z h a 1 m [x@1 a=\"\\]\" b=\"2\"] \xef\xbb\xbfmessage"},
    {"syslog", "{\"format\":\"rfc3164\",\"offset\":\"-03:30\"}",
     "<34>12: *Oct 11 2019 22:14:15.1 UTC: h su[1]: x"},
    {"raw", NULL, "anything"},
};
enum { FORMAT_KINDS = sizeof format_kinds / sizeof *format_kinds };

#endif
