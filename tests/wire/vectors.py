#!/usr/bin/env python3
"""vectors.py - writes vectors.txt: messages and record batches encoded by kafka-python, an implementation that
shares nothing with ours. message_test.c and record_test.c read it; nothing at test time needs Python.

    pip install kafka-python==3.0.12 python-snappy lz4 zstandard
    python3 vectors.py > vectors.txt

A line is:  message NAME VERSION TAGS BYTES CRC    TAGS: 1 every tagged field is there, 0 none
       or:  batch CODEC COUNT BYTES CRC
CRC is the CRC-32C of what the bytes mean, as text, with names: so that no two fields can change places.
"""
import importlib.resources, random, re, uuid

import kafka
from kafka.protocol.schemas import StructField, load_json
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c


# renamed by Kafka since that release was made
RENAMED = {("TxnOffsetCommitRequest", "GenerationId"): "GenerationIdOrMemberEpoch"}


def snake(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def plain(name):
    return name.replace("_", "").lower()


class Maker:
    def __init__(self, seed, version, tags):
        self.r, self.version, self.tags = random.Random(seed), version, tags

    def simple(self, field, nullable):
        """A value of one field, and the text of its meaning."""
        kind = field._type_str.removeprefix("[]")
        if kind == "bool":
            return True, "1"
        if kind in ("int8", "int16", "int32", "int64", "uint16"):
            bits = int(re.sub(r"\D", "", kind))
            v = self.r.getrandbits(bits - 1) | 1
            if kind[0] == "i" and self.r.random() < 0.3 and not self.tags:
                v = -v
            return v, str(v)
        if kind == "float64":
            v = self.r.randrange(1, 1 << 20) / 64
            return v, "%.6f" % v
        if kind == "uuid":
            v = uuid.UUID(int=self.r.getrandbits(128))
            return v, v.bytes.hex()
        if nullable and not self.tags and self.r.random() < 0.4:
            return None, "null"
        text = "".join(self.r.choice("abcdefg\u00fc") for _ in range(self.r.randrange(1, 9)))
        return (text if kind == "string" else text.encode()), text

    def field(self, field):
        nullable = field.nullable_for_version_q(self.version)
        if field.is_array() or field.is_struct_array():
            if nullable and not self.tags and self.r.random() < 0.4:
                return None, "null"
            pairs = []
            for _ in range(self.r.randrange(1, 3)):
                inner = field.array_of
                pairs.append(self.struct(inner) if inner.is_struct() else self.simple(inner, False))
            return [p[0] for p in pairs], "[" + ",".join(p[1] for p in pairs) + "]"
        if field.is_struct():
            if nullable and self.r.random() < 0.4:
                return None, "null"
            return self.struct(field)
        return self.simple(field, nullable)

    def struct(self, struct):
        value, text = {}, []
        fields = list(struct.untagged_fields(self.version))
        if self.tags:
            fields += sorted(struct.tagged_fields(self.version)._fields, key=lambda f: f.tag)
        for f in fields:
            value[f.name], said = self.field(f)
            text.append(plain(RENAMED.get((struct._name, f._name), f._name)) + "=" + said)
        return value, "{" + ";".join(text) + "}"


def messages():
    resources = importlib.resources.files("kafka.protocol.schemas.resources")
    for path in sorted(resources.iterdir(), key=lambda p: p.name):
        name = path.name.removesuffix(".json")
        if name == path.name or name in ("RequestHeader", "ResponseHeader"):
            continue
        json = load_json(name)
        struct = StructField(json)
        low, high = struct.parse_versions(json["validVersions"])
        flexible_from = (struct.parse_versions(json["flexibleVersions"]) or (99,))[0]
        for version in range(low, high + 1):
            flexible = 0 <= flexible_from <= version
            for tags in (0, 1) if flexible else (0,):
                value, text = Maker(json.get("apiKey", 200) * 1000 + version * 4 + tags, version, tags).struct(struct)
                data = struct.encode(value, version=version, compact=flexible, tagged=flexible)
                print("message", snake(name).replace("consumer_protocol", "consumer"), version, tags, data.hex() or "-",
                      "%08x" % calc_crc32c(text.encode()))


def batches():
    for codec in range(5):
        b = DefaultRecordBatchBuilder(2, codec, 1, 77, 3, 5, 1 << 20)
        r, text = random.Random(codec), []
        for i in range(20):
            key = None if i % 5 == 0 else b"key %d" % i
            value = None if i == 7 else b"abc" * r.randrange(0, 60)
            headers = [("h%d" % k, b"x" * k) for k in range(i % 3)]
            time = 1700000000000 + r.randrange(-5000, 5000)
            b.append(i, time, key, value, headers)
            said = ["null" if v is None else v.decode() for v in (key, value)]
            text.append("%d@%d %s=%s %s" % (i, time, *said, ",".join(n + ":" + v.decode() for n, v in headers)))
        data = bytes(b.build())
        print("batch", codec, 20, data.hex(), "%08x" % calc_crc32c("\n".join(text).encode()))


if __name__ == "__main__":
    print("# made by vectors.py with kafka-python " + kafka.__version__)
    messages()
    batches()
