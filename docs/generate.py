#!/usr/bin/env python3
"""generate.py - the reference in docs/reference/, written by the program from its own tables of options and settings.

    docs/generate.py [PROGRAM]     writes the pages (build/millrace)
    docs/generate.py --check ...   writes nothing; names the pages that differ, exit code 1

What is built in and what lies in the plugins' folder beside the program is told; scripts are not: they belong to whoever
runs them.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..'))
FOLDER = os.path.join('docs', 'reference')
PAGES = (  # kind, page, title, what it says first
    ('source', 'sources', 'Sources', 'They stand under `from:` and read events.'),
    ('processor', 'processors', 'Processors', 'They stand under `steps:` and change, drop, reject or make events.'),
    ('sink', 'sinks', 'Sinks', 'They stand under `to:` and write events.'),
    ('format', 'formats', 'Formats', 'They turn text into fields: in the step `parse`, in the option `codec` of a source.'),
)
NOTE = '<!-- Written by `./dev docs` from the option tables of the program: change those, not this page. -->\n'
HEAD = re.compile(r'^# `([^`]+)` \((source|processor|sink|format)\)$')


def entries(program):
    """(name, kind, text without its headline), in the program's order."""
    env = {k: v for k, v in os.environ.items() if k != 'MILLRACE_PLUGINS'}
    with tempfile.TemporaryDirectory() as empty:  # no scripts/ there
        done = subprocess.run([program, 'plugins', '--markdown'], cwd=empty, env=env, capture_output=True, text=True)
    if done.returncode or done.stderr:
        sys.exit('docs/generate.py: %s plugins --markdown failed: %s' % (program, done.stderr.strip()))
    found = []
    for line in done.stdout.split('\n'):
        head = HEAD.match(line)
        if head:
            found.append((head.group(1), head.group(2), []))
        elif not found:
            sys.exit('docs/generate.py: expected a headline such as "# `file` (source)", got: %s' % line)
        else:
            found[-1][2].append(line)
    return found


def lower(lines):
    """Headlines one level down, and never two blank lines in a row, outside of code."""
    fenced, out = False, []
    for line in lines:
        if line.startswith('```'):
            fenced = not fenced
        if not fenced and re.match(r'#+ ', line):
            line = '#' + line
        if fenced or line or (out and out[-1]):
            out.append(line)
    return '\n'.join(out).strip('\n')


def summary(lines):
    return next(line for line in lines if line)


def anchor(name):
    return re.sub(r'[^a-z0-9_-]', '', name.lower())


def settings(program):
    """The tables of the broker, as `serve --settings` prints them."""
    done = subprocess.run([os.path.abspath(program), 'serve', '--settings'], capture_output=True, text=True)
    if done.returncode or done.stderr or done.stdout.count('\n# ') + done.stdout.startswith('# ') != 2:
        sys.exit('docs/generate.py: %s serve --settings failed: %s' % (program, done.stderr.strip()))
    lead = "By Kafka's names; `durability` is ours. How to set them: [a node](../guide-broker.md#settings)."
    return '\n'.join((NOTE, '# Settings\n', lead + '\n', lower(done.stdout.split('\n')))) + '\n'


def pages(program):
    """Path from the root -> text."""
    all_of = entries(os.path.abspath(program))
    out, index = {}, [NOTE, '# Reference\n', 'The same is told by `millrace plugins` and `millrace plugins NAME`.\n']
    for kind, page, title, lead in PAGES:
        mine = sorted((name, lines) for name, k, lines in all_of if k == kind)
        if not mine:
            sys.exit('docs/generate.py: the program told of no %s' % kind)
        text = [NOTE, '# %s\n' % title, lead + '\n']
        text += ['* [`%s`](#%s) %s' % (name, anchor(name), summary(lines)) for name, lines in mine]
        index += ['## [%s](%s.md)\n' % (title, page), '| | |', '|---|---|']
        for name, lines in mine:
            text.append('\n## `%s`\n\n%s' % (name, lower(lines)))
            index.append('| [`%s`](%s.md#%s) | %s |' % (name, page, anchor(name), summary(lines)))
        index.append('')
        out[os.path.join(FOLDER, page + '.md')] = '\n'.join(text) + '\n'
    out[os.path.join(FOLDER, 'settings.md')] = settings(program)
    index += ['## [Settings](settings.md)\n', 'Of a node and of a topic, as `millrace serve --settings` lists them.\n']
    out[os.path.join(FOLDER, 'README.md')] = '\n'.join(index)
    return out


def stale(program):
    """Names of pages that are not what the program says now, pages that nobody writes any more included."""
    want = pages(program)
    here = {os.path.join(FOLDER, n) for n in os.listdir(os.path.join(ROOT, FOLDER))} \
        if os.path.isdir(os.path.join(ROOT, FOLDER)) else set()
    bad = here - set(want)
    for path, text in want.items():
        if path not in here or open(os.path.join(ROOT, path), encoding='utf-8').read() != text:
            bad.add(path)
    return sorted(bad)


def main():
    args = sys.argv[1:]
    check = '--check' in args
    args = [a for a in args if a != '--check']
    program = args[0] if args else os.path.join(ROOT, 'build', 'millrace')
    bad = stale(program)
    for path in bad:
        print('%s %s' % ('older than the program:' if check else 'written:', path))
    if check:
        return 1 if bad else 0
    os.makedirs(os.path.join(ROOT, FOLDER), exist_ok=True)
    want = pages(program)
    for path in bad:
        full = os.path.join(ROOT, path)
        if path in want:
            with open(full, 'w', encoding='utf-8') as f:
                f.write(want[path])
        else:
            os.remove(full)
    print('docs/reference: %d pages, %d of them changed' % (len(want), len(bad)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
