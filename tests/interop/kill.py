"""SIGKILL under load. put: writes the numbers of acknowledged records to a file until the server is
gone; look: they are all there, in order."""
import sys
import threading
from collections import Counter

from aws import checker, connect, create

phase, endpoint, path = sys.argv[1:]
client = connect(endpoint, max_pool_connections=8)
check = checker('SIGKILL')
stream, BATCH = {'StreamName': 'Kill'}, 20


def load(thread, acknowledged):
    number = 0
    try:
        while True:
            answer = client.put_records(**stream, Records=[
                {'PartitionKey': f'{thread}', 'Data': f'{thread} {number + i}'.encode()}
                for i in range(BATCH)])
            for i, each in enumerate(answer['Records']):
                print(thread, number + i, each['SequenceNumber'], file=acknowledged)
            acknowledged.flush()
            number += BATCH
    except Exception:  # the server is gone
        pass


def read_all():
    records = []
    for shard in client.list_shards(**stream)['Shards']:
        at = client.get_shard_iterator(**stream, ShardId=shard['ShardId'],
                                       ShardIteratorType='TRIM_HORIZON')['ShardIterator']
        while at:
            page = client.get_records(ShardIterator=at)
            records += [{**each, 'ShardId': shard['ShardId']} for each in page['Records']]
            at = page['Records'] and page['NextShardIterator']
    return records


if phase == 'put':
    create(client, 'Kill', 2)
    with open(path, 'w') as acknowledged:
        threads = [threading.Thread(target=load, args=(i, acknowledged)) for i in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
else:
    with open(path) as file:
        promised = {line.split()[2]: ' '.join(line.split()[:2]) for line in file}
    records = read_all()
    found = {each['SequenceNumber']: each['Data'].decode() for each in records}
    check('records were acknowledged', len(promised) >= 400, len(promised))
    check('every one of them is there, with its data (L1)',
          all(found.get(number) == data for number, data in promised.items()))
    of_key, promised_to = {}, Counter(data.split()[0] for data in promised.values())
    for each in records:
        of_key.setdefault(each['PartitionKey'], []).append(int(each['Data'].split()[1]))
    check("a key's records are in their order, each once, without a gap (L2)",
          all(numbers == list(range(len(numbers))) for numbers in of_key.values()))
    check('an unanswered call is there whole or not at all (L4)', all(
        len(numbers) - promised_to[key] in (0, BATCH) for key, numbers in of_key.items()), promised_to)
    check("each shard's numbers ascend", all(
        one['SequenceNumber'] < next['SequenceNumber'] for one, next in zip(records, records[1:])
        if one['ShardId'] == next['ShardId']))
