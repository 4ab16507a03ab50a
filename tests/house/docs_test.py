#!/usr/bin/env python3
"""docs_test.py - the pages agree with the program: the reference is what it prints, every YAML block can be used."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'e2e'), os.path.join(HERE, '..', '..', 'docs')]
sys.dont_write_bytecode = True
import generate  # noqa: E402
from mill import BUILD, MILLRACE, ROOT, done, folder, ok, run, skip  # noqa: E402


def markdown():
    for top in ('README.md', 'docs', 'docs/reference'):
        path = os.path.join(ROOT, top)
        names = [top] if os.path.isfile(path) else [top + '/' + n for n in sorted(os.listdir(path)) if n.endswith('.md')]
        yield from names


def blocks(name):
    """(line of the first line, text) of every ```yaml block."""
    lines, start = open(os.path.join(ROOT, name), encoding='utf-8').read().split('\n'), None
    for number, line in enumerate(lines, 1):
        if start is None and line.strip() == '```yaml':
            start = number
        elif start is not None and line.strip() == '```':
            yield start + 1, '\n'.join(lines[start:number - 1]) + '\n'
            start = None
    assert start is None, '%s:%d: a block without end' % (name, start)


def indented(text, by):
    return ''.join(' ' * by + line + '\n' if line.strip() else '\n' for line in text.split('\n')[:-1])


def whole(text):
    """A file out of a block: as it is, or a part of a pipeline with the rest around it. None: neither."""
    first = next((line for line in text.split('\n') if line.strip() and not line.lstrip().startswith('#')), '')
    key = re.match(r'[\w-]*', first).group(0)
    if key in ('pipelines', 'tests'):
        return text
    if first.startswith('- '):
        return whole('steps:\n' + text)
    if key not in ('from', 'steps', 'to'):
        return None
    here = set(re.findall(r'^(\w+):', text, re.M))
    rest = ''.join('    %s: %s\n' % (k, v) for k, v in (('from', '{ stdin: {} }'), ('to', '{ drop: {} }')) if k not in here)
    return 'pipelines:\n  block:\n' + indented(text, 4) + rest


def lint():
    seen = 0
    for name in markdown():
        pieces = list(blocks(name))
        bad = []
        for line, text in pieces:
            if re.match(r'(#.*\n)*(data|listeners|settings):', text):  # a node's file
                with folder() as d:
                    with open(os.path.join(d, 'node.yaml'), 'w', encoding='utf-8') as f:
                        f.write(text)
                    code, out, err = run(d, 'serve', '-c', 'node.yaml', '--check')
                if code or err:
                    bad.append('%s:%d: %s' % (name, line, err or out))
                continue
            file = whole(text)
            if file is None:
                bad.append('%s:%d: neither a file nor a part of a pipeline (from, steps, to)' % (name, line))
                continue
            if file.startswith('tests:'):
                before = [t for n, t in pieces if n < line and (whole(t) or '').lstrip('# \n').startswith('pipelines:')]
                file = (before[-1] if before else '') + file
            seen += 1
            with folder() as d:
                with open(os.path.join(d, 'block.yaml'), 'w', encoding='utf-8') as f:
                    f.write(file)
                code, out, err = run(d, 'lint', 'block.yaml')
                if code == 0 and not err and re.search(r'^tests:', file, re.M):
                    code, out, err = run(d, 'test', 'block.yaml')
                    err = err or (out if code else '')
            if code or err:
                bad.append('%s:%d: %s' % (name, line, err or out))
        if pieces:
            ok('every yaml block of %s (%d) lints without a complaint' % (name, len(pieces)), not bad, '\n'.join(bad))
    ok('the pages have yaml blocks at all', seen >= 20, 'only %d were found' % seen)


def links():
    bad, seen = [], 0
    for name in markdown():
        text = re.sub(r'```.*?```', '', open(os.path.join(ROOT, name), encoding='utf-8').read(), flags=re.S)
        for target in re.findall(r'\]\(([^)\s]+)\)', text):
            if re.match(r'\w+:', target):
                continue
            seen += 1
            path, _, anchor = target.partition('#')
            full = os.path.normpath(os.path.join(ROOT, os.path.dirname(name), path)) if path else os.path.join(ROOT, name)
            if path.endswith('benchmarks.md') and not os.path.exists(full):
                skip('%s links to %s' % (name, path), 'no measurements have been written down')
            elif not os.path.exists(full):
                bad.append('%s: %s is not there' % (name, target))
            elif anchor and anchor not in anchors(full):
                bad.append('%s: %s has no headline for #%s' % (name, path or name, anchor))
    ok('links between pages lead somewhere', seen and not bad, '\n'.join(bad))


def anchors(path):
    text = re.sub(r'```.*?```', '', open(path, encoding='utf-8').read(), flags=re.S)
    return {re.sub(r'[^\w -]', '', h.lower()).strip().replace(' ', '-') for h in re.findall(r'^#+ (.+)$', text, re.M)}


def main():
    old = generate.stale(MILLRACE)
    ok('the reference is what the option tables say (%s)' % os.path.basename(BUILD), not old,
       'older than the program: %s; run ./dev docs' % ', '.join(old))
    names = [n for n, _, _ in generate.entries(MILLRACE)]
    ok('the reference tells of the plugins too', {'file', 'parse', 'topic', 'window', 'combined'} <= set(names), names)
    lint()
    links()
    done()


main()
