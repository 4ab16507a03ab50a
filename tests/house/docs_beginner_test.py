#!/usr/bin/env python3
"""docs_beginner_test.py - what goes wrong on the first day: each mistake is told at its place, with the way out."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import done, folder, ok, run  # noqa: E402

STEP = 'pipelines:\n  a:\n    from: { stdin: {} }\n    steps:\n      - %s\n    to: { stdout: {} }\n'
STEPS = (  # a step that stands in line 5, what the answer must hold; a leading ? stands for a warning
    ('prase: combined', "did you mean 'parse'?"),
    ('parse: { combined: {}, form: msg }', "did you mean 'from'?"),
    ('parse: apache', 'formats: json, combined'),
    ('parse: {}', "such as 'parse: combined'"),
    ('parse: { csv: {}, json: {} }', 'use two steps'),
    ("parse: { regex: '^(\\S+) (\\d+)$' }", 'write (?<name>...)'),
    ("parse: { regex: '^(?<a>\\S+ (\\d+)$' }", 'missing closing parenthesis'),
    ("parse: { grok: '%{IPP:x}' }", "did you mean 'IP'?"),
    ('parse: { csv: { types: { a: integer } } }', 'use int, float, bool or string'),
    ('parse: { csv: { time: at } }', 'write a map such as'),
    ('parse: { csv: { time: { field: at, format: "%Y-%Q" } } }', "'%Q' in its format is unknown"),
    ('parse: { csv: { time: { field: at, format: ISO8601 } } }', 'neither rfc3339'),
    ('keep: e.status = 304', "'=' is written '=='"),
    ('keep: e.status == 304 && e.x', "'&&' is written 'and'"),
    ('keep: e.a || e.b', "'||' is written 'or'"),
    ('keep: e.status != 304', "'!=' is written '~='"),
    ('keep: "!e.a"', "'!' is written 'not'"),
    ('keep: "e.a ? 1 : 2"', "'a and b or c'"),
    ('keep: e.msg:startswith("abc")', "did you mean ':starts'?"),
    ('keep: e.msg:trim() == "a"', 'texts have starts, ends, contains'),
    ('keep: status == 304', "is written 'e.status'"),
    ('keep: e.a ==', 'the expression ends'),
    ('keep: true)', 'expected'),
    ('keep:', 'such as e.status >= 500'),
    ('set: { env: prod }', "is written 'e.prod'"),
    ('set: status', 'a map of field: expression'),
    ('set: { e.a: 1 }', "?write 'a'"),
    ('remove: [ a, e.b ]', "?write 'b'"),
    ('rename: { e.a: b }', "?write 'a'"),
    ('rename: [ a, b ]', 'a map of old path: new path'),
    ('window: { every: 10, compute: { n: count() } }', 'write 10s'),
    ('window: { every: 10sec, compute: { n: count() } }', 'ms, s, m, h or d'),
    ('window: { every: 1m }', 'such as { hits: count(), bytes: sum(bytes) }'),
    ('window: { every: 1m, compute: { n: count } }', 'write count()'),
    ('window: { every: 1m, compute: { n: sum() } }', 'write sum(bytes)'),
    ('window: { every: 1m, by: e.s, compute: { n: count() } }', "?write 's'"),
    ('window: { every: 1m, compute: { n: sum(e.b) } }', '?write the path alone'),
    ('lua: e.x = = 1', "unexpected symbol near '='"),
    ('lua: scripts/none.lua', "cannot read script 'scripts/none.lua'"),
    ('lua: x = 1', "write 'local x'"),
    ('{ keep: e.a, fi: e.b }', "did you mean 'if'?"),
    ('{ keep: e.a, retry: { max: 3 } }', "'retry' cannot stand at a step"),
    ('{ keep: e.a, on_error: ignore }', 'dead, drop, keep, fail or retry'),
    ('keep: e.msg:contains("a: b")', 'quote the whole value'),
    ('keep: "e.a', 'end it with the same quote'),
    ('keep: !e.a', 'quote a value'),
)
FILES = (  # the whole file, line, what the answer must hold
    ('', 1, "begin with 'pipelines:'"),
    ('# nothing yet\n', 2, "begin with 'pipelines:'"),
    ('pipelines:\n', 1, "write 'name:' below it"),
    ('pipelines:\n  a:\n', 2, "give it 'from:', 'steps:' and 'to:'"),
    ('pipelines:\n  - from: stdin\n    to: stdout\n', 2, "write 'name:' below it"),
    ('pipelines:\n\ta:\n', 2, 'put spaces there'),
    ('piplines:\n  a: { from: stdin, to: stdout }\n', 1, "did you mean 'pipelines'?"),
    ('pipelines:\n  a: { form: stdin, to: stdout }\n', 2, "did you mean 'from'?"),
    ('pipelines:\n  a: { from: stdin }\n', 2, "add 'to:'"),
    ('pipelines:\n  my pipe: { from: stdin, to: stdout }\n', 2, 'letters, digits'),
    ('pipelines:\n  a: { from: { file: { path: x } }, to: stdout }\n', 2, "did you mean 'paths'?"),
    ('pipelines:\n  a: { from: stdin, to: topic }\n', 2, "output 'topic' needs option 'name'"),
    ('pipelines:\n  a: { from: topic, to: stdout }\n', 2, "source 'topic' needs option 'name'"),
    ('pipelines:\n  a: { from: stdin, to: { topic: "a b" } }\n', 2, "letters, digits, '.', '_' and '-' only"),
    ('pipelines:\n  a: { from: stdin, to: { file: "out/{{ a" } }\n', 2, "not closed by '}}'"),
    ('pipelines:\n  a: { from: stdin, to: { file: "out/{{ e.host }}" } }\n', 2, "?write 'host'"),
    ('pipelines:\n  a: { from: stdin, to: { stdout: {}, retry: 3 } }\n', 2, 'write { max: 10, backoff: 100ms }'),
    ('pipelines:\n  a: { from: stdin, to: { stdout: {}, if: e.a } }\n', 2, "?'else: true'"),
    ('pipelines:\n  a: { from: { file: "*.log" }, to: { file: b.log } }\n', 2, '?write elsewhere'),
    ('pipelines:\n  a: { from: { file: { paths: [ x, logs/* ] } }, to: { file: { path: logs/y } } }\n', 2, '?write elsewhere'),
    ('pipelines:\n  a: { from: stdout, to: stdin }\n', 2, "it goes under 'to'"),
    ('pipelines:\n  a: { from: { file: "${MR_IS_NOT_SET}" }, to: stdout }\n', 2, '${MR_IS_NOT_SET:-value}'),
    ('pipelines:\n  a:\n    from:\n      file:\n      paths: [ x ]\n    to: stdout\n', 5, 'indented below its component'),
    ('pipelines:\n  a: { from: stdin, to: stdout }\n  a: { from: stdin, to: stdout }\n', 3, 'take one of them away'),
    ('pipelines:\n  a: { from: stdin, to: stdout }\ntests:\n  - { name: x, pipeline: b, out: [] }\n', 4, "no pipeline 'b'"),
    ('pipelines:\n  a: { from: stdin, to: stdout }\ntests:\n  - { name: x, pipeline: a, in: [] }\n', 4, "add 'out:'"),
)


def look(d, name, text, line, want):
    warning = want.startswith('?')
    with open(os.path.join(d, 'x.yaml'), 'w') as f:
        f.write(text)
    code, out, err = run(d, 'lint', 'x.yaml')
    kind = 'warning' if warning else 'error'
    there = re.search(r'^x\.yaml:%d:\d+: %s: ' % (line, kind), err, re.M)
    ok(name, code == (0 if warning else 2) and there and want.lstrip('?') in err, (code, err))


def main():
    with folder() as d:
        for step, want in STEPS:
            look(d, 'a step written `%s` is answered' % step, STEP % step, 5, want)
        for text, line, want in FILES:
            look(d, 'a file written %r is answered' % text[:60], text, line, want)
    done()


main()
