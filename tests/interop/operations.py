"""Every operation that boto3 has, once; arguments: endpoint, a prefix for names."""
import sys

from aws import checker, connect, refusal_of
from botocore.exceptions import ClientError

endpoint, name = sys.argv[1:]
client = connect(endpoint, region='eu-west-3')
check = checker(name)
called = set()


def call(operation, is_good=lambda answer: True, **arguments):
    """Calls it, checks the answer, returns it."""
    called.add(operation)
    answer = {}
    try:
        answer = getattr(client, operation)(**arguments)
        metadata = answer['ResponseMetadata']
        check(operation, is_good(answer) and metadata['RequestId'] and
              len(metadata['HTTPHeaders']['x-amz-id-2']) >= 64, answer)
    except Exception as error:  # an answer the client cannot read, too
        check(operation, False, error)
    return answer


def refuses(operation, code, **arguments):
    called.add(operation)
    try:
        check(f'{operation} is refused', False, getattr(client, operation)(**arguments))
    except ClientError as error:
        check(f'{operation} is refused', error.response['Error']['Code'] == code, error)


s = {'StreamName': name}
call('create_stream', **s, ShardCount=2)
client.get_waiter('stream_exists').wait(**s, WaiterConfig={'Delay': 1})
arn = call('describe_stream_summary', lambda a: a['StreamDescriptionSummary']['OpenShardCount'] == 2,
           **s)['StreamDescriptionSummary']['StreamARN']
a, r = {'StreamARN': arn}, {'ResourceARN': arn}
call('describe_stream', lambda d: d['StreamDescription']['StreamCreationTimestamp'].year >= 2026 and
     len(d['StreamDescription']['Shards']) == 2, **a)
call('list_streams', lambda d: name in d['StreamNames'])
call('list_shards', lambda d: [x['ShardId'][-1] for x in d['Shards']] == ['0', '1'], **s)
call('describe_limits', lambda d: d['ShardLimit'] > 0 and d['OpenShardCount'] >= 2)
call('describe_account_settings')
call('update_account_settings', MinimumThroughputBillingCommitment={'Status': 'DISABLED'})

every_byte = bytes(range(256))
call('put_record', lambda d: d['ShardId'] == 'shardId-000000000000', **s, PartitionKey='123',
     Data=every_byte)
call('put_records', lambda d: d['FailedRecordCount'] == 0, **a,
     Records=[{'Data': b'', 'PartitionKey': '123'}, {'Data': b'x', 'PartitionKey': '\u20ac' * 256}])
iterator = call('get_shard_iterator', **s, ShardId='shardId-000000000000',
                ShardIteratorType='TRIM_HORIZON').get('ShardIterator')
call('get_records', lambda d: [x['Data'] for x in d['Records']][:2] == [every_byte, b''] and
     'EncryptionType' not in d['Records'][0], ShardIterator=iterator)

consumer = call('register_stream_consumer', lambda d: d['Consumer']['ConsumerStatus'] == 'CREATING',
                **a, ConsumerName='c')['Consumer']['ConsumerARN']
status = ''
while status != 'ACTIVE':
    status = client.describe_stream_consumer(ConsumerARN=consumer)['ConsumerDescription'][
        'ConsumerStatus']
call('describe_stream_consumer', **a, ConsumerName='c')
call('list_stream_consumers', lambda d: len(d['Consumers']) == 1, **a)
events = call('subscribe_to_shard', ConsumerARN=consumer, ShardId='shardId-000000000000',
              StartingPosition={'Type': 'TRIM_HORIZON'})['EventStream']
for event in events:
    event = event['SubscribeToShardEvent']
    check('an event has the record, and where to go on', event['Records'][0]['Data'] == every_byte
          and event['ContinuationSequenceNumber'] >= event['Records'][-1]['SequenceNumber'], event)
    break
events.close()
call('deregister_stream_consumer', ConsumerARN=consumer)

call('add_tags_to_stream', **s, Tags={'team': 'red'})
call('list_tags_for_stream', lambda d: d['Tags'] == [{'Key': 'team', 'Value': 'red'}], **s)
call('remove_tags_from_stream', **s, TagKeys=['team'])
call('tag_resource', **r, Tags={'team': 'blue'})
call('list_tags_for_resource', lambda d: d['Tags'] == [{'Key': 'team', 'Value': 'blue'}], **r)
call('untag_resource', **r, TagKeys=['team'])
policy = '{"Version":"2012-10-17","Statement":[]}'
call('put_resource_policy', **r, Policy=policy)
call('get_resource_policy', lambda d: d['Policy'] == policy, **r)
call('delete_resource_policy', **r)
kms = {'EncryptionType': 'KMS', 'KeyId': 'alias/aws/kinesis'}


def when_active():
    while client.describe_stream_summary(**s)['StreamDescriptionSummary']['StreamStatus'] != 'ACTIVE':
        pass


for operation, arguments in [
        ('increase_stream_retention_period', {**s, 'RetentionPeriodHours': 48}),
        ('decrease_stream_retention_period', {**s, 'RetentionPeriodHours': 24}),
        ('enable_enhanced_monitoring', {**s, 'ShardLevelMetrics': ['IncomingBytes']}),
        ('disable_enhanced_monitoring', {**s, 'ShardLevelMetrics': ['ALL']}),
        ('start_stream_encryption', {**s, **kms}),
        ('stop_stream_encryption', {**s, **kms}),
        ('split_shard', {**s, 'ShardToSplit': 'shardId-000000000000',
                         'NewStartingHashKey': str(2**126)}),
        ('merge_shards', {**s, 'ShardToMerge': 'shardId-000000000002',
                          'AdjacentShardToMerge': 'shardId-000000000003'}),
        ('update_shard_count', {**s, 'TargetShardCount': 4, 'ScalingType': 'UNIFORM_SCALING'}),
        ('update_max_record_size', {**a, 'MaxRecordSizeInKiB': 2048}),
        ('update_stream_mode', {**a, 'StreamModeDetails': {'StreamMode': 'ON_DEMAND'}}),
        ('update_stream_record_distribution_strategy',
         {**a, 'RecordDistributionStrategy': 'USER_PARTITION_KEY'})]:
    if hasattr(client, operation):
        when_active()
        call(operation, **arguments)
when_active()
refuses('update_stream_warm_throughput', 'ResourceNotFoundException', StreamName='none',
        WarmThroughputMiBps=100)
refuses('describe_stream', 'ResourceNotFoundException', StreamName='none')
refuses('put_record', 'ValidationException', StreamName='no!', Data=b'', PartitionKey='k')
call('delete_stream', **s, EnforceConsumerDeletion=True)

# Channels and queues are not ours: said plainly, whatever is asked of them.
unchecked = connect(endpoint, parameter_validation=False)
missing = set(client.meta.method_to_api_mapping) - called
for operation in sorted(missing):
    code, text = refusal_of(getattr(unchecked, operation))
    check(f'{operation} is refused', ('channel' in operation and code in (
        'InvalidArgumentException', 'ValidationException')) or (
            'queue' in operation and code == 'UnknownOperationException'), (code, text))
check('no other operation is left out', len(called) >= 36, called)
