"""What broke somebody's lab elsewhere: each papercut of other emulators is a check. Here: records,
iterators, and what answers look like."""
import sys
import threading
import time

from aws import checker, connect, create, refusal_of, when_active

client = connect(sys.argv[1], max_pool_connections=8)
check = checker('papercut')
stream, shard = {'StreamName': 'Papercuts'}, {'ShardId': 'shardId-000000000000'}
bodies = []
client.meta.events.register('before-parse.kinesis', lambda response_dict, **_: bodies.append(
    response_dict['body']))


def iterator(kind, **more):
    return client.get_shard_iterator(**stream, **shard, ShardIteratorType=kind,
                                     **more)['ShardIterator']


def read(of, **more):
    return client.get_records(ShardIterator=of, **more)


def data_of(page):
    return [each['Data'] for each in page['Records']]


def put(data, key='k'):
    return client.put_record(**stream, PartitionKey=key, Data=data)['SequenceNumber']


description = create(client, 'Papercuts', 1)
arn = description['StreamARN']
first = description['Shards'][0]['SequenceNumberRange']['StartingSequenceNumber']

# ---- iterators -------------------------------------------------------------------------

latest = iterator('LATEST')
empty = read(latest)
check('an empty page has a new iterator, too', empty['Records'] == [] and
      empty['NextShardIterator'] != latest and empty['MillisBehindLatest'] == 0, empty)
before = time.time()
number = put(b'late')
put(b'later')
check('LATEST sees what is put after it was made', data_of(read(latest)) == [b'late', b'later'])
check('so does the iterator of the empty page', data_of(read(empty['NextShardIterator'])) ==
      [b'late', b'later'])
check('a retry with the old iterator works', data_of(read(latest)) == [b'late', b'later'])
page = read(latest, Limit=1)
check('every read has a new iterator', page['NextShardIterator'] != latest)
check('which goes on', data_of(read(page['NextShardIterator'])) == [b'later'])
while (page := read(latest, Limit=1))['MillisBehindLatest'] == 0:
    pass
check('MillisBehindLatest is real', page['MillisBehindLatest'] <= (time.time() - before) * 1000 + 1
      and read(page['NextShardIterator'])['MillisBehindLatest'] == 0, page)
check('quotes around an iterator', data_of(read(f'"{latest}"')) == [b'late', b'later'])
check('AT_TIMESTAMP of a time before', len(read(iterator(
    'AT_TIMESTAMP', Timestamp=before - 60))['Records']) == 2)
arrived = read(latest)['Records'][1]['ApproximateArrivalTimestamp']
check("AT_TIMESTAMP of a record's own time", data_of(read(iterator(
    'AT_TIMESTAMP', Timestamp=arrived)))[-1:] == [b'later'])
check('AT_TIMESTAMP of now', 'NextShardIterator' in read(iterator(
    'AT_TIMESTAMP', Timestamp=time.time())))
check("AT_SEQUENCE_NUMBER of the shard's first number", len(read(iterator(
    'AT_SEQUENCE_NUMBER', StartingSequenceNumber=first))['Records']) == 2)
check('AT_SEQUENCE_NUMBER', data_of(read(iterator(
    'AT_SEQUENCE_NUMBER', StartingSequenceNumber=number))) == [b'late', b'later'])
check('AFTER_SEQUENCE_NUMBER', data_of(read(iterator(
    'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber=number))) == [b'later'])
check('no iterator is told so', refusal_of(client.get_records, ShardIterator='AAAA') == (
    'InvalidArgumentException', 'Invalid ShardIterator.'))

# ---- records ---------------------------------------------------------------------------

code, _ = refusal_of(client.put_records, **stream, Records=[
    {'Data': b'good', 'PartitionKey': 'k'}, {'Data': b'bad', 'PartitionKey': 'k' * 257}])
check('a bad record fails the whole call', code == 'ValidationException', code)
check('and nothing of it is stored', len(read(latest)['Records']) == 2)
for data in [b'', b'\0', bytes(range(256)) * 40]:
    for key in ['k', '\u00e9', '\U0001f30a' * 256]:
        put(data, key)
        record = read(latest)['Records'][-1]
        check(f'{len(data)} bytes, a key of {len(key)} characters',
              record['Data'] == data and record['PartitionKey'] == key, record)

big, numbers, slowest = b'\xff' * 1000000, [], 0


def put_big():
    numbers.extend([put(big) for _ in range(10)])


loaders = [threading.Thread(target=put_big) for _ in range(5)]
for each in loaders:
    each.start()
while any(each.is_alive() for each in loaders):
    asked = time.time()
    client.list_streams()
    slowest = max(slowest, time.time() - asked)
check('50 records of 1 MB', len(set(numbers)) == 50, len(numbers))
check('meanwhile the server answers', 0 < slowest < 5, slowest)
found, at = 0, iterator('AT_SEQUENCE_NUMBER', StartingSequenceNumber=min(numbers))
while found < 50 and (page := read(at))['Records']:
    found += data_of(page).count(big)
    at = page['NextShardIterator']
check('they are read back', found == 50, found)

# ---- answers ---------------------------------------------------------------------------

bodies.clear()
a, summary = {'StreamARN': arn}, client.describe_stream_summary(**stream)['StreamDescriptionSummary']
check('both name and ARN are described', all(
    each['StreamName'] == 'Papercuts' and each['StreamARN'] == arn for each in
    [summary, client.describe_stream(**a)['StreamDescription'],
     *(each for each in client.list_streams()['StreamSummaries'] if each['StreamARN'] == arn)]))
changed = client.enable_enhanced_monitoring(**a, ShardLevelMetrics=['ALL'])
check('and said of changes', changed['StreamName'] == 'Papercuts' and changed['StreamARN'] == arn)
when_active(client, 'Papercuts')
client.put_record(**a, PartitionKey='k', Data=b'by ARN')
client.put_records(**a, Records=[{'PartitionKey': 'k', 'Data': b'by ARN'}])
client.add_tags_to_stream(**a, Tags={'a': 'b'})
client.list_tags_for_stream(**a)
client.list_shards(**a)
by_arn = client.get_shard_iterator(**a, **shard, ShardIteratorType='AFTER_SEQUENCE_NUMBER',
                                   StartingSequenceNumber=max(numbers))['ShardIterator']
check('an ARN does where a name does', data_of(read(by_arn)) == [b'by ARN'] * 2)
check('the summary has no StreamId', 'StreamId' not in summary)
check('answers of unencrypted streams have no KeyId, no record an EncryptionType, nothing is null',
      len(bodies) >= 12 and not any(b'null' in each or b'KeyId' in each for each in bodies) and
      not any(b'"Records"' in each and b'EncryptionType' in each for each in bodies), bodies)
when_active(client, 'Papercuts')
client.start_stream_encryption(**stream, EncryptionType='KMS', KeyId='alias/aws/kinesis')
check('those of encrypted ones have them', client.describe_stream(**stream)['StreamDescription'].get(
    'KeyId') == 'alias/aws/kinesis' and client.put_record(
        **stream, PartitionKey='k', Data=b'')['EncryptionType'] == 'KMS')
client.delete_stream(**stream)
