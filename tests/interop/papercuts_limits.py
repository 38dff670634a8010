"""The papercuts of limits, which are on: a throttled record fails by itself, and only it."""
import sys

from aws import checker, connect, create, refusal_of

client = connect(sys.argv[1])
check = checker('papercut')
stream = {'StreamName': 'Limits'}
create(client, 'Limits', 2)
half = bytes(600 * 1024)
answer = client.put_records(**stream, Records=[
    {'PartitionKey': 'a', 'ExplicitHashKey': key, 'Data': half} for key in ['0', '0', str(2**127)]])
codes = [each.get('ErrorCode') for each in answer['Records']]
check('a throttled record fails by itself', answer['FailedRecordCount'] == 1 and codes == [
    None, 'ProvisionedThroughputExceededException', None], answer)
check('in these words', answer['Records'][1]['ErrorMessage'] ==
      'Rate exceeded for shard shardId-000000000000 in stream Limits under account 000000000000.', answer)
check('without a number', 'SequenceNumber' not in answer['Records'][1] and
      'ShardId' not in answer['Records'][1])
# A shard takes one of these a second: however slow we are, one of them comes too early.
whole, stored, code = bytes(1024 * 1024 - 1), 1, ''
while code == '' and stored < 50:
    code, text = refusal_of(client.put_record, **stream, PartitionKey='a', ExplicitHashKey='0', Data=whole)
    stored += code == ''
check('a single one fails the call', code == 'ProvisionedThroughputExceededException', text)
at = client.get_shard_iterator(**stream, ShardId='0', ShardIteratorType='TRIM_HORIZON')['ShardIterator']
check('what was refused is not stored', len(client.get_records(ShardIterator=at)['Records']) == stored)
codes = []
while len(codes) < 200 and 'ProvisionedThroughputExceededException' not in codes:
    codes.append(refusal_of(client.get_records, ShardIterator=at, Limit=1)[0])
check('more than five reads of a shard in a second are refused',
      set(codes[:-1]) <= {''} and codes[-1] == 'ProvisionedThroughputExceededException', codes)
client.delete_stream(**stream)
