"""page.py - docs/compatibility.md, from what the clients said."""

WORDS = {'ok': 'yes', 'not ok': '**no**', 'skip': '-'}
CHECKED = [
    '* metadata: brokers and topics are listed.',
    '* create topics: with one and four partitions; they are listed.',
    '* codecs x acks: 20 records each of none, gzip, snappy, lz4 and zstd, by acks 0, 1 and all, with keys, headers, times.',
    '* read from offsets: those records, from four offsets on, compared one by one.',
    '* list offsets: beginning, end, and by time.',
    '* group resumes: a member reads half and commits; the next one reads the other half, each record once.',
    '* two members share: four partitions, two each; when one leaves, the other has all.',
    '* admin: create, describe, settings read and changed, partitions added, records and groups and topics deleted.',
    '* idempotent: many small batches in flight at once keep their order and come once.',
    '* transactions: one aborted, others committed (most clients: with group offsets); read committed and uncommitted.',
]
DIFFERS = [
    '## What differs from Apache Kafka on one node',
    '',
    '* A record becomes visible when it is durable, also after acks 0 or 1: a fetch sees it some milliseconds later.',
    '  ListOffsets waits for what was produced before it, up to half a second, so that who reads to the end reads it;',
    '  DeleteRecords waits for the records that it is to delete, within its own timeout.',
    '* A client that fetches with a version below 10 (sarama 1.29 by default) is not given zstd.',
]
def by_client(rows):
    """A line for each client, a column for each step that any of them has."""
    names = []
    for _, _, _, said in rows:
        names += [s[0] for s in said if s[0] not in names]
    lines = ['| client | version | tried | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 3) + '|']
    for name, version, day, said in rows:
        word = {s[0]: WORDS[s[1]] for s in said}
        lines.append('| %s | %s | %s | %s |' % (name, version, day, ' | '.join(word.get(n, '') for n in names)))
    return lines


def by_step(rows):
    """A line for each step, a column for each version. A step is "name: what was checked"."""
    names = []
    for _, _, _, said in rows:
        names += [s[0] for s in said if s[0] not in names]
    lines = ['| | what was checked | ' + ' | '.join('%s, %s' % r[1:3] for r in rows) + ' |', '|---' * (len(rows) + 2) + '|']
    for n in names:
        name, _, checked = n.partition(': ')
        word = [{s[0]: WORDS[s[1]] for s in said}.get(n, '') for _, _, _, said in rows]
        lines.append('| %s | %s | %s |' % (name, checked.replace('|', '\\|'), ' | '.join(word)))
    return lines


def by_row(rows):
    """A line for each step of each client."""
    lines = ['| client | version | tried | what was checked | |', '|---' * 5 + '|']
    return lines + ['| %s | %s | %s | %s | %s |' % (name, version, day, s[0], WORDS[s[1]])
                    for name, version, day, said in rows for s in said]


# table: (title, what to say first, how it is drawn)
TABLES = {
    'tools': ("## Apache Kafka's own tools", '', by_step),
    'admin': ("## The Java client's Admin, method by method", '', by_step),
    'streams': ('## Kafka Streams', '', by_step),
    'engines': ('## Stream engines', '', by_row),
}


def page(clients, last):
    rows = {}
    for name, version, table, _ in clients:
        if name in last and last[name][0] == version:
            rows.setdefault(table, []).append((name, *last[name]))
    lines = ['# Kafka clients that were tried', '',
             'Written by `tests/interop/run.py --write`. Each client ran against a fresh `millrace serve`, with the defaults of',
             'its library where nothing else is said; `tests/interop` has the programs. A `-` means that the client cannot do',
             'it, or the broker does not offer it yet: the notes at the end say which.', '']
    lines += by_client(rows.get('clients', [])) + ['', '## What was done', ''] + CHECKED
    for table, (title, say, draw) in TABLES.items():
        if table in rows:
            lines += ['', title, ''] + ([say, ''] if say else []) + draw(rows[table])
    notes = ['* %s, %s: %s' % (name, step.split(':')[0], why.split('\n')[0])
             for group in rows.values() for name, _, _, said in group for step, result, why in said if result != 'ok']
    return '\n'.join(lines + [''] + DIFFERS + ['', '## Notes', ''] + notes) + '\n'
