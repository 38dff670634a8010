"""What broke somebody's lab elsewhere: each papercut of other emulators is a check here."""
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1',
                      aws_access_key_id='x', aws_secret_access_key='x',
                      config=Config(retries={'max_attempts': 0}))
stream, shard = {'StreamName': 'Papercuts'}, {'ShardId': 'shardId-000000000000'}


def check(what, is_good, detail=''):
    print(f'{"ok" if is_good else "not ok"} - papercut: {what}' + ('' if is_good else f': {detail}'))


def iterator(kind, **more):
    return client.get_shard_iterator(**stream, **shard, ShardIteratorType=kind,
                                     **more)['ShardIterator']


def read(of, **more):
    return client.get_records(ShardIterator=of, **more)


def put(data, key='k'):
    return client.put_record(**stream, PartitionKey=key, Data=data)['SequenceNumber']


def code_of(call, **arguments):
    try:
        call(**arguments)
        return ''
    except ClientError as error:
        return error.response['Error']['Code']


client.create_stream(**stream, ShardCount=1)
client.get_waiter('stream_exists').wait(**stream, WaiterConfig={'Delay': 1})
description = client.describe_stream(**stream)['StreamDescription']
first = description['Shards'][0]['SequenceNumberRange']['StartingSequenceNumber']

latest = iterator('LATEST')
before = time.time()
number = put(b'late')
put(b'later')
check('LATEST sees what is put after it was made', [r['Data'] for r in read(latest)['Records']] ==
      [b'late', b'later'])
check('a retry with the old iterator works', len(read(latest)['Records']) == 2)
page = read(latest, Limit=1)
check('every read has a new iterator', page['NextShardIterator'] != latest)
check('MillisBehindLatest is real', page['MillisBehindLatest'] >= 0 and
      read(page['NextShardIterator'])['MillisBehindLatest'] == 0, page)
check('quotes around an iterator', len(read(f'"{latest}"')['Records']) == 2)
check('AT_TIMESTAMP', len(read(iterator('AT_TIMESTAMP', Timestamp=before - 60))['Records']) == 2)
check('AT_TIMESTAMP of now or later', read(iterator('AT_TIMESTAMP', Timestamp=time.time()))[
    'Records'] == [])
check("AT_SEQUENCE_NUMBER of the shard's first number", len(read(iterator(
    'AT_SEQUENCE_NUMBER', StartingSequenceNumber=first))['Records']) == 2)
check('AFTER_SEQUENCE_NUMBER', [r['Data'] for r in read(iterator(
    'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber=number))['Records']] == [b'later'])
check('records of unencrypted streams have no EncryptionType',
      'EncryptionType' not in read(latest)['Records'][0])

check('a bad record fails the whole call', code_of(
    client.put_records, **stream, Records=[{'Data': b'good', 'PartitionKey': 'k'},
                                           {'Data': b'bad', 'PartitionKey': 'k' * 257}]) != '')
check('and nothing of it is stored', len(read(latest)['Records']) == 2)
for data in [b'', bytes(range(256)) * 40]:
    for key in ['k', '\U0001f30a' * 256]:
        put(data, key)
        record = read(latest)['Records'][-1]
        check(f'{len(data)} bytes, a key of {len(key)} characters',
              record['Data'] == data and record['PartitionKey'] == key, record)

check('an ARN does where a name does', client.describe_stream_summary(
    StreamARN=description['StreamARN'])['StreamDescriptionSummary']['StreamName'] == 'Papercuts')
check('answers of unencrypted streams have no KeyId', 'KeyId' not in description)
filtered = client.list_shards(**stream, ShardFilter={'Type': 'AT_LATEST'}, MaxResults=1)
check('ListShards with a filter', len(filtered['Shards']) == 1, filtered)

big = b'\xff' * 1000000
numbers = [put(big) for _ in range(50)]
check('50 records of 1 MB', len(set(numbers)) == 50)
found, at = 0, iterator('AT_SEQUENCE_NUMBER', StartingSequenceNumber=numbers[0])
while found < 50:
    page = read(at)
    if not page['Records'] or any(each['Data'] != big for each in page['Records']):
        break
    found, at = found + len(page['Records']), page['NextShardIterator']
check('are read back', found == 50, found)
check('and the server lives', client.list_streams()['StreamNames'] != [])
client.delete_stream(**stream)
