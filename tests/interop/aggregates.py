"""aggregates.py PACKER: aggregates of aws_kinesis_agg are read by ours, and ours by it.

PACKER reads "KEY EXPLICIT-HASH-KEY-or-- DATA-IN-HEX" lines and prints an aggregate in hex (`pack`), or the
other way (`unpack`).
"""
import base64
import random
import subprocess
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

packer = sys.argv[1]
seed = random.randrange(1 << 32)
chance = random.Random(seed)
print(f"# seed {seed}")


def check(what, is_good):
    print(f"{'ok' if is_good else 'not ok'} - {what}")


def records(count):
    """(key, explicit hash key or None, data)"""
    keys = ["".join(chance.choice("abcäöü€😀-_/") for _ in range(chance.randrange(1, 40)))
            for _ in range(max(1, count // 3))]
    return [(chance.choice(keys),
             str(chance.randrange(1 << 128)) if chance.random() < 0.3 else None,
             chance.randbytes(chance.randrange(300))) for _ in range(count)]


def run(how, text):
    return subprocess.run([packer, how], input=text, capture_output=True, text=True, check=True).stdout


def lines(rows):
    return "".join(f"{key} {explicit or '-'} {data.hex()}\n" for key, explicit, data in rows)


for count in (2, 3, 50, 400):
    wanted = records(count)

    packed = bytes.fromhex(run("pack", lines(wanted)))
    event = {"kinesis": {"kinesisSchemaVersion": "1.0", "sequenceNumber": "1", "approximateArrivalTimestamp": 1,
                         "partitionKey": "a", "data": base64.b64encode(packed).decode()},
             "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "1", "eventName": "aws:kinesis:record",
             "invokeIdentityArn": "x", "awsRegion": "x", "eventSourceARN": "x"}
    found = [(r["kinesis"]["partitionKey"], r["kinesis"].get("explicitHashKey"),
              base64.b64decode(r["kinesis"]["data"])) for r in deaggregate_records([event])]
    # It takes an absent explicit hash key for the first of the table, if there is one.
    first = next((explicit for _, explicit, _ in wanted if explicit), None)
    check(f"aws_kinesis_agg unpacks {count} records of ours",
          found == [(key, explicit or first, data) for key, explicit, data in wanted])

    aggregator = RecordAggregator()
    for key, explicit, data in wanted:
        assert aggregator.add_user_record(key, data, explicit) is None
    key, explicit, theirs = aggregator.clear_and_get().get_contents()
    check(f"we unpack {count} records of aws_kinesis_agg", run("unpack", theirs.hex()) == lines(wanted))
    ours = bytes.fromhex(run("pack", lines(wanted)))
    check(f"and pack them into the same bytes ({count})", ours == theirs)

check("a damaged one is a plain record", run("unpack", theirs[:-1].hex() + "00") == "")
