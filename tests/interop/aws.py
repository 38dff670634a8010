"""What the Python scripts share: a client that does not try again, and the lines that count."""
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def connect(endpoint, region='us-east-1', **config):
    return boto3.client('kinesis', endpoint_url=endpoint, region_name=region,
                        aws_access_key_id='x', aws_secret_access_key='x',
                        config=Config(retries={'max_attempts': 0}, **config))


def checker(subject):
    def check(what, is_good, detail=''):
        print(f'{"ok" if is_good else "not ok"} - {subject}: {what}' +
              ('' if is_good else f': {detail}'), flush=True)

    return check


def refusal_of(call, **arguments):
    """The code and the text of its error; none if there is none."""
    try:
        call(**arguments)
        return '', ''
    except ClientError as error:
        return error.response['Error']['Code'], error.response['Error']['Message']


def create(client, stream, shard_count):
    """A stream, and its description when it is active."""
    client.create_stream(StreamName=stream, ShardCount=shard_count)
    return when_active(client, stream)


def when_active(client, stream):
    while True:
        description = client.describe_stream(StreamName=stream)['StreamDescription']
        if description['StreamStatus'] == 'ACTIVE':
            return description
