#!/usr/bin/env python3
"""includes.py - who may include whom (docs/architecture.md): reads every #include and names the way out."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
ROOMS = {'base': 1, 'world': 2, 'wire': 2, 'data': 2, 'log': 3, 'plugin': 3, 'registry': 4, 'broker': 5, 'pipeline': 5,
         'node': 6, 'cli': 7}
FOREIGN = {'uv.h': 'world', 'nng/': 'world', 'zlib.h': 'wire', 'zstd.h': 'wire', 'lz4': 'wire', 'snappy-c.h': 'wire',
           'pcre2.h': 'data', 'lua.h': 'plugin', 'lauxlib.h': 'plugin', 'lualib.h': 'plugin', 'dlfcn.h': 'plugin',
           'yaml.h': 'pipeline', 'xxhash.h': 'base', 'librdkafka/': 'cli', 'openssl/': 'cli'}
INSTEAD = {'world': 'ask through world/world.h', 'wire': 'use wire/record.h', 'data': 'use data/format.h or data/regex.h',
           'plugin': 'use plugin/host.h', 'pipeline': 'use plugin/tree.h', 'base': 'use base/hash.h', 'cli': 'a verb of cli/ does that, through cli/kafka.h'}
ALSO = {('dlfcn.h', 'cli'): False}


def main():
    bad = seen = 0
    files = subprocess.run(['git', '-C', ROOT, 'ls-files', 'runtime', 'plugins'], capture_output=True, text=True).stdout
    for name in files.split():
        if not name.endswith(('.c', '.h')):
            continue
        part = name.split('/')
        room = part[1] if part[0] == 'runtime' else 'plugins'
        for number, line in enumerate(open(os.path.join(ROOT, name), errors='replace'), 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            seen += 1
            what = m.group(2)

            def complain(text):
                print('%s:%d: %s' % (name, number, text))

            if room == 'plugins':
                if m.group(1) == '"' and '/' in what:
                    complain("a plugin includes '%s': plugins see <millrace/plugin.h> alone" % what)
                    bad += 1
                continue
            if room == 'include':
                if m.group(1) == '"':
                    complain("the public ABI includes '%s': it may include libc and itself" % what)
                    bad += 1
                continue
            if m.group(1) == '"' and '/' in what:
                other = what.split('/')[0]
                if other in ROOMS and other != room and ROOMS[other] >= ROOMS[room]:
                    complain('%s (%d) includes %s (%d): pass the value in, or ask through a header of a lower room'
                             % (room, ROOMS[room], what, ROOMS[other]))
                    bad += 1
            for head, home in FOREIGN.items():
                if m.group(1) == '<' and (what == head or what.startswith(head.rstrip('.h')) and head.endswith('/')
                                          or (head == 'lz4' and what.startswith('lz4'))) and room != home:
                    complain('%s includes <%s>, which belongs to %s/: %s' % (room, what, home, INSTEAD[home]))
                    bad += 1
    if seen < 20:
        print('only %d includes seen: is this the project?' % seen)
        bad += 1
    print('%s every include goes to a smaller room (%d read)' % ('not ok' if bad else 'ok', seen))
    return 1 if bad else 0


sys.exit(main())
