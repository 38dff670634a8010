"""SIGKILL under load. put: writes the numbers of acknowledged records to a file until the server is
gone; look: they are all there, in order."""
import sys
import threading

import boto3
from botocore.config import Config

phase, endpoint, path = sys.argv[1:]
client = boto3.client('kinesis', endpoint_url=endpoint, region_name='us-east-1',
                      aws_access_key_id='x', aws_secret_access_key='x',
                      config=Config(retries={'max_attempts': 0}, max_pool_connections=8))
stream = {'StreamName': 'Kill'}


def check(what, is_good, detail=''):
    print(f'{"ok" if is_good else "not ok"} - SIGKILL: {what}' + ('' if is_good else f': {detail}'))


def load(thread, acknowledged):
    number = 0
    try:
        while True:
            answer = client.put_records(**stream, Records=[
                {'PartitionKey': f'{thread}', 'Data': f'{thread} {number + i}'.encode()}
                for i in range(20)])
            for i, each in enumerate(answer['Records']):
                print(thread, number + i, each['SequenceNumber'], file=acknowledged)
            acknowledged.flush()
            number += 20
    except Exception:  # the server is gone
        pass


def read_all():
    records = []
    for shard in client.list_shards(**stream)['Shards']:
        at = client.get_shard_iterator(**stream, ShardId=shard['ShardId'],
                                       ShardIteratorType='TRIM_HORIZON')['ShardIterator']
        while at:
            page = client.get_records(ShardIterator=at)
            records += page['Records']
            at = page['Records'] and page['NextShardIterator']
    return records


if phase == 'put':
    client.create_stream(**stream, ShardCount=2)
    client.get_waiter('stream_exists').wait(**stream, WaiterConfig={'Delay': 1})
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
    of_key = {}
    for each in records:
        of_key.setdefault(each['PartitionKey'], []).append(int(each['Data'].split()[1]))
    check("a key's records are in their order (L2)",
          all(numbers == sorted(numbers) for numbers in of_key.values()))
