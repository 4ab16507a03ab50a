"""format_oracle.py - real logs, decoded by us and by somebody else: the same fields?

    format_oracle.py FORMAT_DUMP SOURCE_DIR

The access log is compared with a regular expression of Python and datetime; the loghub files with the CSV files
that came with them, by regex, grok and syslog. The logs are not part of the project: where a file is absent the
check is skipped by name.
"""
import csv
import datetime
import json
import os
import re
import subprocess
import sys

DUMP, SOURCE = sys.argv[1], sys.argv[2]
DATA = os.path.join(SOURCE, "..", "shared", "data")
failures = 0
checks = 0

LINUX_REGEX = (r"^(?<month>[A-Z][a-z]{2}) +(?<day>\d{1,2}) (?<time>\d\d:\d\d:\d\d) (?<host>\S+) +"
               r"(?<app>[^\[:]+)(?:\[(?<pid>\d+)\])?: *(?<message>.*?) *$")
LINUX_GROK = (r"^%{MONTH:month} +%{MONTHDAY:day:int} %{TIME:time} %{HOSTNAME:host} +"
              r"(?<app>[^\[:]+)(?:\[%{POSINT:pid:int}\])?: *%{DATA:message} *$")
OPENSSH_REGEX = (r"^(?<ts>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?<host>\S+) (?<app>[^\[:]+)\[(?<pid>\d+)\]: "
                 r"(?<message>.*?) *$")
OPENSSH_GROK = r"^%{SYSLOGTIMESTAMP:ts} %{HOSTNAME:host} %{PROG:app}\[%{POSINT:pid:int}\]: %{DATA:message} *$"
ZOOKEEPER_REGEX = (r"^(?<ts>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - (?<level>[A-Z]+) +"
                   r"\[(?<node>[^:]+):(?<component>[^@]+)@(?<line>\d+)\] - (?<message>.*?) *$")
ZOOKEEPER_GROK = (r"^%{TIMESTAMP_ISO8601:ts} - %{LOGLEVEL:level} +"
                  r"\[(?<node>[^:]+):(?<component>[^@]+)@%{INT:line:int}\] - %{DATA:message} *$")


def path_of(name):
    path = os.path.join(DATA, name)
    if os.path.exists(path):
        return path
    print("skipped: %s is not there" % name)
    return None


def decode(kind, options, path):
    out = subprocess.run([DUMP, kind, json.dumps(options), path], stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.decode("utf-8").splitlines()]


def compare(what, got, want):
    global failures, checks
    checks += 1
    wrong = [(i + 1, g, w) for i, (g, w) in enumerate(zip(got, want)) if g != w]
    if len(got) != len(want):
        print("FAILED: %s: %d events, not %d" % (what, len(got), len(want)))
        failures += 1
    for line, g, w in wrong[:3]:
        print("FAILED: %s: line %d\n   got  %s\n   want %s" % (what, line, g, w))
    failures += bool(wrong)
    if not wrong and len(got) == len(want):
        print("%s: %d events agree" % (what, len(got)))


def nanoseconds(text, form):
    t = datetime.datetime.strptime(text, form)
    if t.tzinfo is None:
        t = t.replace(tzinfo=datetime.timezone.utc)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (t - epoch) // datetime.timedelta(microseconds=1) * 1000


def access_log():
    path = path_of("apache_access.log")
    if not path:
        return
    line_rx = re.compile(r'(\S+) (\S+) (.+?) \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "((?:[^"\\]|\\.)*)" '
                         r'(\d+|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"')
    request_rx = re.compile(r'([A-Za-z_-]+) (\S+) (\S+)')
    want = []
    for line in open(path, "rb").read().decode("utf-8", "replace").splitlines():
        m = line_rx.fullmatch(line)
        if not m:
            want.append({"rejected": True})
            continue
        e = dict(zip(["client", "ident", "user", "time"], m.groups()))
        r = request_rx.fullmatch(m[5])
        e.update(dict(zip(["method", "path", "protocol"], r.groups())) if r else {"request": m[5]})
        e.update({k: int(v) for k, v in (("status", m[6]), ("bytes", m[7])) if v != "-"})
        e.update({"referer": m[8], "agent": m[9], "_time": nanoseconds(m[4], "%d/%b/%Y:%H:%M:%S %z")})
        want.append(e)

    def cleaned(events):
        return [{"rejected": True} if "_rejected" in e else e for e in events]
    got = cleaned(decode("combined", {}, path))
    compare("combined, access log", got, want)
    grok = decode("grok", {"pattern": "%{COMBINEDAPACHELOG}",
                           "time": {"field": "time", "format": "%d/%b/%Y:%H:%M:%S %z"}}, path)
    compare("grok COMBINEDAPACHELOG, access log", cleaned(grok), want)
    if sum(e.get("bytes", 0) for e in got) != sum(e.get("bytes", 0) for e in want):
        raise SystemExit("FAILED: the sums of bytes differ")


def rows(name):
    with open(name, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def only(events, names):
    return [{n: e[n] for n in names if n in e} for e in events]


def year_2025_or_6(text):
    """The year that brings a date nearest to 1 March 2026."""
    now = nanoseconds("2026-03-01", "%Y-%m-%d")
    return min((nanoseconds("%d %s" % (y, text), "%Y %b %d %H:%M:%S") for y in (2025, 2026, 2027)),
               key=lambda t: abs(t - now))


def linux():
    log, table = path_of("loghub_Linux.log"), path_of("loghub_Linux.csv")
    if not log or not table:
        return
    want = []
    for r in rows(table):
        e = {"month": r["Month"], "day": int(r["Date"]), "time": r["Time"], "host": r["Level"],
             "app": r["Component"], "message": r["Content"]}
        if r["PID"]:
            e["pid"] = int(r["PID"])
        want.append(e)
    compare("regex, Linux", decode("regex", {"pattern": LINUX_REGEX, "types": {"day": "int", "pid": "int"}}, log), want)
    compare("grok, Linux", decode("grok", {"pattern": LINUX_GROK}, log), want)
    names, syslog = [], []
    for e in want:
        date = "%s %2d %s" % (e["month"], e["day"], e["time"])
        s = {"time": date, "host": e["host"], "_time": year_2025_or_6(date)}
        if " " in e["app"]:  # a tag has no blank in it: such a line is all message
            s["message"] = e["app"] + ("[%d]" % e["pid"] if "pid" in e else "") + ": " + e["message"]
        else:
            s.update({"app": e["app"], "message": e["message"]})
            if "pid" in e:
                s["procid"] = str(e["pid"])
        syslog.append(s)
    got = decode("syslog", {"format": "rfc3164"}, log)
    for e in got:
        e["message"] = e["message"].strip()
    compare("syslog, Linux", only(got, ["time", "host", "app", "procid", "message", "_time"]), syslog)


def openssh():
    log, table = path_of("loghub_OpenSSH.log"), path_of("loghub_OpenSSH.csv")
    if not log or not table:
        return
    want = []
    for r in rows(table):
        ts = "%s %2d %s" % (r["Date"], int(r["Day"]), r["Time"])
        want.append({"ts": ts, "host": r["Component"], "app": "sshd", "pid": int(r["Pid"]), "message": r["Content"],
                     "_time": year_2025_or_6(ts)})
    when = {"field": "ts", "format": "%b %e %H:%M:%S"}
    compare("regex, OpenSSH",
            decode("regex", {"pattern": OPENSSH_REGEX, "types": {"pid": "int"}, "time": when}, log), want)
    compare("grok, OpenSSH", decode("grok", {"pattern": OPENSSH_GROK, "time": when}, log), want)
    got = decode("syslog", {}, log)
    for e in got:
        e["message"] = e["message"].strip()
    compare("syslog, OpenSSH", only(got, ["time", "host", "app", "procid", "message", "_time"]),
            [{"time": e["ts"], "host": e["host"], "app": "sshd", "procid": str(e["pid"]), "message": e["message"],
              "_time": e["_time"]} for e in want])


def zookeeper():
    log, table = path_of("loghub_Zookeeper.log"), path_of("loghub_Zookeeper.csv")
    if not log or not table:
        return
    want = [{"ts": r["Date"] + " " + r["Time"], "level": r["Level"], "node": r["Node"], "component": r["Component"],
             "line": int(r["Id"]), "message": r["Content"],
             "_time": nanoseconds(r["Date"] + " " + r["Time"], "%Y-%m-%d %H:%M:%S,%f")} for r in rows(table)]
    when = {"field": "ts", "format": "%Y-%m-%d %H:%M:%S,%L"}
    compare("regex, Zookeeper",
            decode("regex", {"pattern": ZOOKEEPER_REGEX, "types": {"line": "int"}, "time": when}, log), want)
    compare("grok, Zookeeper", decode("grok", {"pattern": ZOOKEEPER_GROK, "time": when}, log), want)


def tables_as_csv():
    """The tables themselves, decoded by csv, against Python's reader."""
    for name in ("loghub_Linux.csv", "loghub_OpenSSH.csv", "loghub_Zookeeper.csv"):
        path = path_of(name)
        if not path:
            continue
        with open(path, newline="", encoding="utf-8") as f:
            want = list(csv.reader(f))
        columns = [c.lower() for c in want[0]]
        compare("csv, %s" % name, decode("csv", {"columns": columns}, path), [dict(zip(columns, r)) for r in want])


access_log()
linux()
openssh()
zookeeper()
tables_as_csv()
sys.exit(1 if failures else 0 if checks else 77)  # 77: skipped, all of it
