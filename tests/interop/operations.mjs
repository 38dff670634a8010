// Every operation that @aws-sdk/client-kinesis has, once; arguments: endpoint, a prefix for names.
// It speaks HTTP/2 by itself, also to http:// endpoints.
import { createRequire } from 'module'

// The package lies below the build folder: where we were started.
const sdk = createRequire(process.cwd() + '/')('@aws-sdk/client-kinesis')
const [endpoint, name] = process.argv.slice(2)
const client = new sdk.KinesisClient({
    endpoint, region: 'eu-west-3', maxAttempts: 1,
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
})
const called = new Set()

function check(what, isGood, detail) {
    console.log(`${isGood ? 'ok' : 'not ok'} - ${name}: ${what}${isGood ? '' : ': ' + detail}`)
}

const send = (operation, input) => client.send(new sdk[operation + 'Command'](input))

async function call(operation, input = {}, isGood = () => true) {
    called.add(operation)
    try {
        const answer = await send(operation, input)
        const { requestId, extendedRequestId } = answer.$metadata
        check(operation, isGood(answer) && requestId && extendedRequestId, JSON.stringify(answer))
        return answer
    } catch (error) {
        check(operation, false, error)
        return {}
    }
}

async function refuses(operation, type, input) {
    called.add(operation)
    try {
        check(`${operation} is refused`, false, JSON.stringify(await send(operation, input)))
    } catch (error) {
        check(`${operation} is refused`, error.name === type, error)
    }
}

async function whenActive() {
    for (;;) {
        const { StreamDescriptionSummary } = await send('DescribeStreamSummary', s)
        if (StreamDescriptionSummary.StreamStatus === 'ACTIVE')
            return StreamDescriptionSummary
    }
}

const s = { StreamName: name }
await call('CreateStream', { ...s, ShardCount: 2 })
const a = { StreamARN: (await whenActive()).StreamARN }
const r = { ResourceARN: a.StreamARN }
await call('DescribeStreamSummary', a, d => d.StreamDescriptionSummary.OpenShardCount === 2)
await call('DescribeStream', s, d => d.StreamDescription.StreamCreationTimestamp instanceof Date)
await call('ListStreams', {}, d => d.StreamNames.includes(name))
await call('ListShards', s, d => d.Shards.length === 2)
await call('DescribeLimits', {}, d => d.ShardLimit > 0)
await call('DescribeAccountSettings')
await call('UpdateAccountSettings', { MinimumThroughputBillingCommitment: { Status: 'DISABLED' } })

const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i)
const isEveryByte = data => Buffer.compare(Buffer.from(data), Buffer.from(everyByte)) === 0
await call('PutRecord', { ...s, PartitionKey: '123', Data: everyByte },
    d => d.ShardId === 'shardId-000000000000')
await call('PutRecords', {
    ...a, Records: [{ PartitionKey: '123', Data: new Uint8Array() },
        { PartitionKey: '\u20ac'.repeat(256), Data: Buffer.from('x') }],
}, d => d.FailedRecordCount === 0)
const { ShardIterator } = await call('GetShardIterator',
    { ...s, ShardId: 'shardId-000000000000', ShardIteratorType: 'TRIM_HORIZON' })
await call('GetRecords', { ShardIterator }, d => isEveryByte(d.Records[0].Data) &&
    d.Records[1].Data.length === 0 && d.Records[0].ApproximateArrivalTimestamp instanceof Date)

const { Consumer } = await call('RegisterStreamConsumer', { ...a, ConsumerName: 'c' })
const c = { ConsumerARN: Consumer.ConsumerARN }
while ((await send('DescribeStreamConsumer', c)).ConsumerDescription.ConsumerStatus !== 'ACTIVE');
await call('DescribeStreamConsumer', { ...a, ConsumerName: 'c' })
await call('ListStreamConsumers', a, d => d.Consumers.length === 1)
const { EventStream } = await call('SubscribeToShard',
    { ...c, ShardId: 'shardId-000000000000', StartingPosition: { Type: 'LATEST' } })
send('PutRecord', { ...s, PartitionKey: '123', Data: everyByte })
for await (const event of EventStream) {
    const { Records } = event.SubscribeToShardEvent
    if (Records.length) {
        check('a record put is pushed', isEveryByte(Records[0].Data), JSON.stringify(event))
        break
    }
}
await call('DeregisterStreamConsumer', c)

await call('AddTagsToStream', { ...s, Tags: { team: 'red' } })
await call('ListTagsForStream', s, d => d.Tags[0].Value === 'red')
await call('RemoveTagsFromStream', { ...s, TagKeys: ['team'] })
await call('TagResource', { ...r, Tags: { team: 'blue' } })
await call('ListTagsForResource', r, d => d.Tags[0].Value === 'blue')
await call('UntagResource', { ...r, TagKeys: ['team'] })
const Policy = '{"Version":"2012-10-17","Statement":[]}'
await call('PutResourcePolicy', { ...r, Policy })
await call('GetResourcePolicy', r, d => d.Policy === Policy)
await call('DeleteResourcePolicy', r)

const key = { ...s, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }
for (const [operation, input] of [
    ['IncreaseStreamRetentionPeriod', { ...s, RetentionPeriodHours: 48 }],
    ['DecreaseStreamRetentionPeriod', { ...s, RetentionPeriodHours: 24 }],
    ['EnableEnhancedMonitoring', { ...s, ShardLevelMetrics: ['IncomingBytes'] }],
    ['DisableEnhancedMonitoring', { ...s, ShardLevelMetrics: ['ALL'] }],
    ['StartStreamEncryption', key],
    ['StopStreamEncryption', key],
    ['SplitShard', {
        ...s, ShardToSplit: 'shardId-000000000000', NewStartingHashKey: String(2n ** 126n),
    }],
    ['MergeShards', {
        ...s, ShardToMerge: 'shardId-000000000002', AdjacentShardToMerge: 'shardId-000000000003',
    }],
    ['UpdateShardCount', { ...s, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' }],
    ['UpdateMaxRecordSize', { ...a, MaxRecordSizeInKiB: 2048 }],
    ['UpdateStreamMode', { ...a, StreamModeDetails: { StreamMode: 'ON_DEMAND' } }],
    ['UpdateStreamRecordDistributionStrategy',
        { ...a, RecordDistributionStrategy: 'USER_PARTITION_KEY' }],
]) {
    if (!sdk[operation + 'Command'])
        continue
    await whenActive()
    await call(operation, input)
}
await whenActive()
await refuses('UpdateStreamWarmThroughput', 'ResourceNotFoundException',
    { StreamName: 'none', WarmThroughputMiBps: 100 })
await refuses('DescribeStream', 'ResourceNotFoundException', { StreamName: 'none' })
await refuses('PutRecord', 'ValidationException',
    { StreamName: 'no!', PartitionKey: 'k', Data: new Uint8Array() })
await call('DeleteStream', { ...s, EnforceConsumerDeletion: true })

// Channels and queues are not ours yet.
const missing = Object.keys(sdk).filter(each => each.endsWith('Command') && each !== '$Command')
    .map(each => each.slice(0, -7)).filter(each => !called.has(each) && !/Channel|Queue/.test(each))
check('no operation is left out', missing.length === 0, missing)
client.destroy()
