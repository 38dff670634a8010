"""L3: split and merge by hand: ids, ranges, lineage, routing; parents stay readable."""
import hashlib
import sys

from aws import checker, connect

client = connect(sys.argv[1])
check = checker('lab, resharding')
stream = {'StreamName': 'Reshard'}
TOP = 2**128 - 1


def shards():
    while True:
        description = client.describe_stream(**stream)['StreamDescription']
        if description['StreamStatus'] == 'ACTIVE':
            return {each['ShardId'][-1]: each for each in description['Shards']}


def span(shard):
    return [int(shard['HashKeyRange'][end]) for end in ('StartingHashKey', 'EndingHashKey')]


def is_open(shard):
    return 'EndingSequenceNumber' not in shard['SequenceNumberRange']


def put_all(when):
    for number in range(50):
        key = f'user{number}'
        point = int(hashlib.md5(key.encode()).hexdigest(), 16)
        answer = client.put_record(**stream, PartitionKey=key, Data=when.encode())
        shard = shards_now[answer['ShardId'][-1]]
        if not (is_open(shard) and span(shard)[0] <= point <= span(shard)[1]):
            return check(f'{when}: the MD5 of {key} decides', False, answer)
    return check(f'{when}: the MD5 of a key decides', True)


def read(shard):
    """All that a shard has, and the last page."""
    iterator = client.get_shard_iterator(**stream, ShardId=f'shardId-00000000000{shard}',
                                         ShardIteratorType='TRIM_HORIZON')['ShardIterator']
    records, page = [], {}
    while iterator:
        page = client.get_records(ShardIterator=iterator)
        records += page['Records']
        iterator = page.get('NextShardIterator')
        if not page['Records'] and page['MillisBehindLatest'] == 0:
            break
    return records, page


client.create_stream(**stream, ShardCount=1)
shards_now = shards()
check('one shard has all', span(shards_now['0']) == [0, TOP])
put_all('whole')
client.split_shard(**stream, ShardToSplit='shardId-000000000000', NewStartingHashKey=str(2**127))
shards_now = shards()
check('the parent is closed', not is_open(shards_now['0']))
check('the children halve it', [span(shards_now[i]) for i in '12'] == [[0, 2**127 - 1], [2**127, TOP]])
check('and name it', all(shards_now[i]['ParentShardId'] == 'shardId-000000000000' for i in '12'))
put_all('split')
parent, page = read('0')
check('the closed parent has its records', len(parent) == 50 and
      all(each['Data'] == b'whole' for each in parent), len(parent))
check('its last page names the children, and no iterator', 'NextShardIterator' not in page and
      [each['ShardId'][-1] for each in page['ChildShards']] == ['1', '2'], page)
check('the children have what came then', sum(len(read(i)[0]) for i in '12') == 50)
client.merge_shards(**stream, ShardToMerge='shardId-000000000001',
                    AdjacentShardToMerge='shardId-000000000002')
shards_now = shards()
check('merged: one shard has all again', [i for i in shards_now if is_open(shards_now[i])] == ['3'] and
      span(shards_now['3']) == [0, TOP], shards_now)
check('of two parents', shards_now['3']['ParentShardId'][-1] + shards_now['3'][
    'AdjacentParentShardId'][-1] == '12')
put_all('merged')
client.update_shard_count(**stream, TargetShardCount=2, ScalingType='UNIFORM_SCALING')
shards_now = shards()
check('two shards of equal ranges', sorted(span(each) for each in shards_now.values() if is_open(each))
      == [[0, 2**127 - 1], [2**127, TOP]], shards_now)
put_all('scaled')
records = [each for i in shards_now for each in read(i)[0]]
check('nothing is lost or there twice', len(records) == 200 and
      len({each['SequenceNumber'] for each in records}) == 200, len(records))
client.delete_stream(**stream)
