"""The papercuts of shards: their ids, their discovery, their end."""
import sys
from datetime import datetime, timedelta

from aws import checker, connect, create, refusal_of, when_active

client = connect(sys.argv[1])
check = checker('papercut')
stream = {'StreamName': 'Shardcuts'}
MIDDLE = str(2**127)


def ids(shards):
    return ''.join(each['ShardId'][-1] for each in shards)


def iterator(shard, kind='TRIM_HORIZON'):
    return client.get_shard_iterator(**stream, ShardId=shard, ShardIteratorType=kind)['ShardIterator']


def listed(**more):
    """The shards of all pages."""
    page = client.list_shards(**stream, **more)
    shards = page['Shards']
    while 'NextToken' in page:
        page = client.list_shards(NextToken=page['NextToken'], MaxResults=1)
        shards += page['Shards']
    return ids(shards)


description = create(client, 'Shardcuts', 2)
arn, created = description['StreamARN'], description['StreamCreationTimestamp']
client.put_record(**stream, PartitionKey='k', ExplicitHashKey='0', Data=b'first')
client.put_record(**stream, PartitionKey='k', ExplicitHashKey=MIDDLE, Data=b'second')

# ---- short ids -------------------------------------------------------------------------

for short in ['0', 'shardId-0', 'shardId-000000000000', 'x-0']:
    page = client.get_records(ShardIterator=iterator(short))
    check(f'GetShardIterator of shard {short}', [each['Data'] for each in page['Records']] == [b'first'],
          page)
code, text = refusal_of(client.get_shard_iterator, **stream, ShardId='shardId-7',
                        ShardIteratorType='LATEST')
check('a short id is answered in full', (code, text) == (
    'ResourceNotFoundException',
    'Shard shardId-000000000007 in stream Shardcuts under account 000000000000 does not exist'), text)
code, text = refusal_of(client.get_shard_iterator, **stream, ShardId='seven',
                        ShardIteratorType='LATEST')
check('what is no id is answered as it is', (code, text) == (
    'ResourceNotFoundException',
    'Could not find shard seven in stream Shardcuts under account 000000000000.'), text)

# ---- the end of a shard ----------------------------------------------------------------

consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName='c')['Consumer']['ConsumerARN']
while client.describe_stream_consumer(ConsumerARN=consumer)['ConsumerDescription'][
        'ConsumerStatus'] != 'ACTIVE':
    pass


def subscribe(shard, **position):
    answer = client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
    return (event['SubscribeToShardEvent'] for event in answer['EventStream'])


events = subscribe('shardId-1', Type='TRIM_HORIZON')
event = next(events)
going_on = event['ContinuationSequenceNumber']
check('SubscribeToShard of shard shardId-1', [each['Data'] for each in event['Records']] == [b'second'],
      event)
client.split_shard(**stream, ShardToSplit='1', NewStartingHashKey=str(2**127 + 2**126))
rest = list(events)
last = rest[-1]
check('SubscribeToShard ends with the shard, and names its children', ids(last['ChildShards']) == '23'
      and all(each['ParentShards'] == ['shardId-000000000001'] for each in last['ChildShards']) and
      'ContinuationSequenceNumber' not in last, last)
check('before that every event says where to go on', all(
    each['ContinuationSequenceNumber'] and 'ChildShards' not in each for each in rest[:-1]), rest)
when_active(client, 'Shardcuts')
client.merge_shards(**stream, ShardToMerge='2', AdjacentShardToMerge='shardId-3')
when_active(client, 'Shardcuts')
events = list(subscribe('2', Type='TRIM_HORIZON'))
check('both parents of a merged shard name it', ids(events[-1]['ChildShards']) == '4' and
      [each[-1] for each in events[-1]['ChildShards'][0]['ParentShards']] == ['2', '3'], events)
other = client.register_stream_consumer(StreamARN=arn, ConsumerName='d')['Consumer']['ConsumerARN']
while client.describe_stream_consumer(ConsumerARN=other)['ConsumerDescription'][
        'ConsumerStatus'] != 'ACTIVE':
    pass
consumer = other
events = list(subscribe('1', Type='AFTER_SEQUENCE_NUMBER', SequenceNumber=going_on))
check('ContinuationSequenceNumber is where to go on', not any(each['Records'] for each in events) and
      ids(events[-1]['ChildShards']) == '23', events)

page = client.get_records(ShardIterator=iterator('1'))
while page['Records']:
    check('a page with records has an iterator, and no children', 'ChildShards' not in page, page)
    page = client.get_records(ShardIterator=page['NextShardIterator'])
check('GetRecords at the end of a shard has children, and no iterator', 'NextShardIterator' not in page
      and ids(page['ChildShards']) == '23', page)
page = client.get_records(ShardIterator=iterator('1', 'LATEST'))
check('LATEST of a closed shard: its children, at once', 'NextShardIterator' not in page and
      ids(page['ChildShards']) == '23' and page['Records'] == [], page)

# ---- ListShards ------------------------------------------------------------------------

check('ListShards lists all', listed() == '01234', listed())
check('in pages', listed(MaxResults=2) == '01234')
check('after a shard', listed(ExclusiveStartShardId='shardId-000000000002') == '34')
then, later = {'Timestamp': created}, {'Timestamp': datetime.now() + timedelta(seconds=1)}
for what, kind, more, wanted in [
        ('all', 'FROM_TRIM_HORIZON', {}, '01234'),
        ('the first', 'AT_TRIM_HORIZON', {}, '01'),
        ('the open ones', 'AT_LATEST', {}, '04'),
        ('those of then', 'AT_TIMESTAMP', then, '01'),
        ('those of now', 'AT_TIMESTAMP', later, '04'),
        ('since then', 'FROM_TIMESTAMP', then, '01234'),
        ('since now', 'FROM_TIMESTAMP', later, '04'),
        ('after one', 'AFTER_SHARD_ID', {'ShardId': 'shardId-000000000001'}, '234')]:
    asked = {'ShardFilter': {'Type': kind, **more}}
    check(f'{kind}: {what}', listed(**asked) == wanted, listed(**asked))
    check(f'{kind}, {what}: the token of a page keeps the filter', listed(**asked, MaxResults=1) == wanted)
token = client.list_shards(**stream, MaxResults=1)['NextToken']
check('a token comes alone', refusal_of(client.list_shards, **stream, NextToken=token) == (
    'InvalidArgumentException', 'NextToken and StreamName cannot be provided together.'))
client.delete_stream(**stream, EnforceConsumerDeletion=True)
