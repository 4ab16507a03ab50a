#!/usr/bin/env python3
"""examples_test.py - what lies in pipelines/ is well written, and the tests in it hold."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
from mill import ROOT, done, ok, run  # noqa: E402


def main():
    names = sorted('pipelines/' + n for n in os.listdir(os.path.join(ROOT, 'pipelines')) if n.endswith('.yaml'))
    ok('there are examples', len(names) >= 5, names)
    tested = 0
    for name in names:
        text = open(os.path.join(ROOT, name), encoding='utf-8').read()
        code, out, err = run(ROOT, 'lint', name)
        ok('%s lints without a complaint' % name, code == 0 and not err, err)
        ok('%s says at its head what it shows' % name, text.startswith('# '), text.split('\n')[0])
        if re.search(r'^tests:', text, re.M):
            tested += 1
            code, out, err = run(ROOT, 'test', name)
            ran = re.search(r'^(\d+) tests?, 0 failed$', out, re.M)
            ok('the tests of %s hold' % name, code == 0 and ran and int(ran.group(1)) > 0, out + err)
    ok('some example shows how tests are written', tested > 0)
    code, out, err = run(ROOT, 'lint', *names)
    ok('the examples do not stand in each other\'s way', code == 0 and not err, err)
    done()


main()
