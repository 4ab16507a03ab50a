#!/usr/bin/env python3
"""report.py CTEST.xml CTEST.log - single tests out of a ctest run, counted.

A cmocka program prints one line a test; a Python or shell test program prints "ok NAME", "not ok NAME" or
"skip NAME: why". Each of those is a test; a program that prints none of them is one test by its exit code.
Prints failures and skips by name and closes with "TOTAL passed failed skipped".
"""
import re
import sys
import xml.etree.ElementTree as ET

OK = re.compile(r'^(?:\[\s+OK \] |ok +)(.+)$', re.M)
BAD = re.compile(r'^(?:\[\s+FAILED\s+\] (?!\d+ test)|not ok |FAIL )([^\n]+)$', re.M)
SKIP = re.compile(r'^(?:\[\s+SKIPPED\s+\] (?!\d+ test)|skip )([^\n]+)$', re.M)


def main():
    passed = failed = skipped = 0
    try:
        cases = list(ET.parse(sys.argv[1]).getroot().iter('testcase'))
    except (OSError, ET.ParseError) as e:
        print('no report from ctest:', e)
        print(open(sys.argv[2], errors='replace').read()[-3000:])
        cases = []
        failed = 1
    for case in cases:
        out = case.findtext('system-out') or ''
        ok, bad, skip = OK.findall(out), sorted(set(BAD.findall(out))), sorted(set(SKIP.findall(out)))
        broke = case.get('status') != 'run'
        for s in skip:
            print('skipped: %s: %s' % (case.get('name'), s))
        if broke and not bad:
            bad = ['(the program itself)']
        for b in bad:
            print('FAILED: %s: %s' % (case.get('name'), b))
        if bad:
            print(out[-6000:])
        if not ok and not bad and not skip:
            ok = [case.get('name')]
        passed += len(ok)
        failed += len(bad)
        skipped += len(skip)
    print('TOTAL', passed, failed, skipped)


main()
