// @aws-sdk/client-kinesis against serve --auth, over HTTP/2 as it likes: right keys, wrong ones, policies;
// arguments: endpoint, a name.
import { createRequire } from 'module'

const sdk = createRequire(process.cwd() + '/')('@aws-sdk/client-kinesis')
const [endpoint, name] = process.argv.slice(2)
const stream = `test-${name}`

function connect(accessKeyId, secretAccessKey, sessionToken) {
    return new sdk.KinesisClient({
        endpoint, region: 'us-east-1', maxAttempts: 1,
        credentials: { accessKeyId, secretAccessKey, sessionToken },
    })
}

function check(what, isGood, detail) {
    console.log(`${isGood ? 'ok' : 'not ok'} - ${name}: ${what}${isGood ? '' : ': ' + detail}`)
}

async function expect(what, client, command, type) {
    try {
        await client.send(command)
        check(what, !type, 'it is let in')
    } catch (error) {
        check(what, error.name === type, error)
    } finally {
        client.destroy()
    }
}

const put = new sdk.PutRecordCommand({
    StreamName: stream, Data: new Uint8Array(1000), PartitionKey: 'k' })

await expect('a right key is let in', connect('AKIDROOT', 'root-secret'),
    new sdk.CreateStreamCommand({ StreamName: stream, ShardCount: 1 }))
await expect('who may put puts', connect('AKIDALICE', 'alice-secret'), put)
await expect('a session with its token is let in',
    connect('ASIASESSION', 'session-secret', 'a+token/='), put)
await expect('who may put may not delete', connect('AKIDALICE', 'alice-secret'),
    new sdk.DeleteStreamCommand({ StreamName: stream }), 'AccessDeniedException')
await expect('a wrong secret is told', connect('AKIDALICE', 'x'), put, 'InvalidSignatureException')
await expect('an unknown key is told', connect('AKIDX', 'x'), put, 'UnrecognizedClientException')
await expect('another token is told', connect('ASIASESSION', 'session-secret', 'x'), put,
    'UnrecognizedClientException')
