/* format_grok_library.c - the patterns that %{NAME} can name.
 *
 * Each is written so that it can fail early: classes instead of lazy dots, atomic groups where giving back
 * cannot help. None has capturing groups; those of the composed ones bear the fields that people expect.
 */
#include "data/format_grok.h"

#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define HEX4  "[0-9A-Fa-f]{1,4}"

const struct mr_grok_pattern mr_grok_library[] = {
    /* words and text */
    {"WORD", "\\b\\w+\\b"},
    {"NOTSPACE", "\\S+"},
    {"SPACE", "\\s*"},
    {"DATA", ".*?"},
    {"GREEDYDATA", ".*"},
    {"QUOTEDSTRING", "(?>\"(?>\\\\.|[^\\\\\"]+)*\"|'(?>\\\\.|[^\\\\']+)*'|`(?>\\\\.|[^\\\\`]+)*`)"},
    {"QS", "%{QUOTEDSTRING}"},
    {"UUID", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"},
    {"USERNAME", "[a-zA-Z0-9._-]+"},
    {"USER", "%{USERNAME}"},
    {"EMAILLOCALPART", "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*"},
    {"EMAILADDRESS", "%{EMAILLOCALPART}@%{HOSTNAME}"},
    {"LOGLEVEL",
     "(?i:trace|debug|info(?:rmation)?|notice|warn(?:ing)?|error|err|crit(?:ical)?|alert|fatal|severe|"
     "emerg(?:ency)?|panic)\\b"},

    /* numbers */
    {"INT", "[+-]?[0-9]+"},
    {"POSINT", "\\b[1-9][0-9]*\\b"},
    {"NONNEGINT", "\\b[0-9]+\\b"},
    {"BASE10NUM", "(?<![0-9.+-])[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)"},
    {"NUMBER", "%{BASE10NUM}"},
    {"BASE16NUM", "(?<![0-9A-Fa-f])[+-]?(?:0[xX])?[0-9A-Fa-f]+"},
    {"BASE16FLOAT",
     "\\b(?<![0-9A-Fa-f.])[+-]?(?:0[xX])?(?:[0-9A-Fa-f]+(?:\\.[0-9A-Fa-f]*)?|\\.[0-9A-Fa-f]+)\\b"},

    /* network */
    {"IPV4", "(?<![0-9.])(?:" OCTET "\\.){3}" OCTET "(?![0-9])"},
    {"IPV6",
     "(?<![0-9A-Fa-f:])(?:(?:" HEX4 ":){6}(?:" HEX4 ":" HEX4 "|(?:" OCTET "\\.){3}" OCTET ")"
     "|(?=(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|(?:" OCTET "\\.){3}" OCTET "))"
     "(?:" HEX4 "(?::" HEX4 "){0,6})?::(?:(?:" HEX4 ":){0,6}(?:(?:" OCTET "\\.){3}" OCTET "|" HEX4 "))?)"
     "(?:%[0-9A-Za-z._-]+)?(?![0-9A-Fa-f:])"},
    {"IP", "(?:%{IPV6}|%{IPV4})"},
    {"HOSTNAME",
     "\\b[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,62})(?:\\.[0-9A-Za-z_][0-9A-Za-z_-]{0,62})*\\.?(?![0-9A-Za-z_-])"},
    {"HOST", "%{HOSTNAME}"},
    {"IPORHOST", "(?:%{IP}|%{HOSTNAME})"},
    {"HOSTPORT", "%{IPORHOST}:%{POSINT}"},
    {"CISCOMAC", "(?:[0-9A-Fa-f]{4}\\.){2}[0-9A-Fa-f]{4}"},
    {"WINDOWSMAC", "(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}"},
    {"COMMONMAC", "(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"},
    {"MAC", "(?:%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC})"},

    /* paths and addresses */
    {"UNIXPATH", "(?:/[^/\\s]*)+"},
    {"WINPATH", "(?:[A-Za-z]:|\\\\)(?:\\\\[^\\\\?*\\s]*)+"},
    {"PATH", "(?:%{UNIXPATH}|%{WINPATH})"},
    {"TTY", "/dev/(?:pts|tty)[A-Za-z0-9]*(?:/?[0-9]+)?"},
    {"URIPROTO", "[A-Za-z][A-Za-z0-9+.-]*"},
    {"URIHOST", "(?:\\[%{IPV6}\\]|%{IPORHOST})(?::[0-9]+)?"},
    {"URIPATH", "(?:/[^\\s?#\"<>\\\\^`{|}]*)+"},
    {"URIQUERY", "[^\\s#\"<>]*"},
    {"URIPARAM", "\\?%{URIQUERY}"},
    {"URIPATHPARAM", "%{URIPATH}(?:%{URIPARAM})?"},
    {"URI", "%{URIPROTO}://(?:[^\\s@/?#]+@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?(?:#\\S*)?"},

    /* dates and times */
    {"MONTH", "\\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|"
              "[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\\b"},
    {"MONTHNUM", "(?:1[0-2]|0?[1-9])"},
    {"MONTHNUM2", "(?:1[0-2]|0[1-9])"},
    {"MONTHDAY", "(?:3[01]|[12][0-9]|0?[1-9])(?![0-9])"},
    {"DAY",
     "(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)\\b"},
    {"YEAR", "(?:[0-9]{4}|[0-9]{2})(?![0-9])"},
    {"HOUR", "(?:2[0-3]|[01]?[0-9])"},
    {"MINUTE", "[0-5][0-9]"},
    {"SECOND", "(?:60|[0-5]?[0-9])(?:[:.,][0-9]+)?"},
    {"TIME", "(?<![0-9])%{HOUR}:%{MINUTE}(?::%{SECOND})?(?![0-9])"},
    {"DATE_US", "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}"},
    {"DATE_EU", "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}"},
    {"DATE", "(?:%{DATE_US}|%{DATE_EU})"},
    {"DATESTAMP", "%{DATE}[- ]%{TIME}"},
    {"TZ", "[A-Z]{3,4}"},
    {"ISO8601_TIMEZONE", "(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))"},
    {"ISO8601_SECOND", "%{SECOND}"},
    {"TIMESTAMP_ISO8601",
     "[0-9]{4}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?"},
    {"HTTPDATE", "%{MONTHDAY}/%{MONTH}/[0-9]{4}:%{TIME} [+-][0-9]{4}"},
    {"SYSLOGTIMESTAMP", "%{MONTH} +%{MONTHDAY} %{TIME}"},
    {"DATESTAMP_RFC822", "%{DAY} %{MONTH} %{MONTHDAY} %{YEAR} %{TIME} %{TZ}"},
    {"DATESTAMP_RFC2822", "%{DAY}, %{MONTHDAY} %{MONTH} %{YEAR} %{TIME} (?:%{ISO8601_TIMEZONE}|%{TZ})"},
    {"DATESTAMP_OTHER", "%{DAY} %{MONTH} +%{MONTHDAY} %{TIME} %{TZ} %{YEAR}"},
    {"DATESTAMP_EVENTLOG", "[0-9]{4}%{MONTHNUM2}(?:3[01]|[12][0-9]|0[1-9])%{HOUR}%{MINUTE}%{SECOND}"},

    /* programs */
    {"PROG", "[\\x21-\\x5a\\x5c\\x5e-\\x7e]+"},
    {"SYSLOGPROG", "%{PROG:program}(?:\\[%{POSINT:pid}\\])?"},
    {"SYSLOGHOST", "%{IPORHOST}"},
    {"SYSLOGFACILITY", "<%{NONNEGINT:facility}\\.%{NONNEGINT:priority}>"},
    {"SYSLOGBASE", "%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host} %{SYSLOGPROG}:"},
    {"SYSLOGLINE", "%{SYSLOGBASE} %{GREEDYDATA:message}"},
    {"JAVACLASS", "(?:[a-zA-Z$_][a-zA-Z$_0-9]*\\.)*[a-zA-Z$_][a-zA-Z$_0-9]*"},
    {"JAVAFILE", "[A-Za-z0-9_. -]+"},
    {"JAVAMETHOD", "(?:<(?:cl)?init>|[a-zA-Z$_][a-zA-Z$_0-9]*)"},

    /* web servers: names as the formats combined and common have them */
    {"COMMONAPACHELOG", "^%{NOTSPACE:client} %{NOTSPACE:ident} %{DATA:user} \\[%{HTTPDATE:time}\\] "
                        "\"(?:%{WORD:method} %{NOTSPACE:path} %{NOTSPACE:protocol}|%{DATA:request})\" "
                        "(?:%{INT:status:int}|-) (?:%{INT:bytes:int}|-)"},
    {"COMBINEDAPACHELOG",
     "%{COMMONAPACHELOG} \"(?<referer>(?>\\\\.|[^\\\\\"]+)*)\" \"(?<agent>(?>\\\\.|[^\\\\\"]+)*)\""},
    {"HTTPD_COMMONLOG", "%{COMMONAPACHELOG}"},
    {"HTTPD_COMBINEDLOG", "%{COMBINEDAPACHELOG}"},
    {NULL, NULL},
};
