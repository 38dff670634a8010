"""boto3 against serve --auth: right keys, wrong ones, a session, policies; arguments: endpoint, name."""
import sys

import boto3
from botocore.config import Config

from aws import checker, refusal_of

endpoint, name = sys.argv[1:]
check = checker(name)


def connect(key, secret, token=None):
    return boto3.client('kinesis', endpoint_url=endpoint, region_name='us-east-1',
                        aws_access_key_id=key, aws_secret_access_key=secret,
                        aws_session_token=token, config=Config(retries={'max_attempts': 0}))


root = connect('AKIDROOT', 'root-secret')
alice = connect('AKIDALICE', 'alice-secret')
stream = 'test-' + name
put = {'StreamName': stream, 'Data': b'x' * 1000, 'PartitionKey': 'k'}

root.create_stream(StreamName=stream, ShardCount=1)
check('a right key is let in', root.describe_stream(StreamName=stream)['StreamDescription'])
check('who may put puts', alice.put_record(**put)['SequenceNumber'])
check('a session with its token is let in',
      connect('ASIASESSION', 'session-secret', 'a+token/=').put_record(**put)['SequenceNumber'])
for what, client, arguments, code, text in (
        ('who may put may not delete', alice.delete_stream, {'StreamName': stream},
         'AccessDeniedException',
         'User: arn:aws:iam::000000000000:user/alice is not authorized to perform: '
         f'kinesis:DeleteStream on resource: arn:aws:kinesis:us-east-1:000000000000:stream/{stream}'),
        ('a wrong secret', connect('AKIDALICE', 'x').put_record, put, 'InvalidSignatureException',
         'The request signature we calculated does not match'),
        ('an unknown key', connect('AKIDX', 'x').put_record, put, 'UnrecognizedClientException',
         'The security token included in the request is invalid.'),
        ('another token', connect('ASIASESSION', 'session-secret', 'x').put_record, put,
         'UnrecognizedClientException', 'The security token included in the request is invalid.'),
        ('no token', connect('ASIASESSION', 'session-secret').put_record, put,
         'UnrecognizedClientException', 'The security token included in the request is invalid.'),
):
    refusal = refusal_of(client, **arguments)
    check(f'{what} is told', refusal[0] == code and refusal[1].startswith(text), refusal)
