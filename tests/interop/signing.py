"""What millrace's own client signs, botocore would sign alike: each of its requests is signed again here."""
import http.server
import os
import subprocess
import sys
import threading

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws import checker

check = checker('signing')
seen = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        seen.append((self.path, self.headers, body))
        answer = b'{"__type":"ResourceNotFoundException","message":"it is enough to have been asked"}'
        self.send_response(400)
        self.send_header('Content-Type', 'application/x-amz-json-1.1')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def signed_again(url, headers, body, credentials, region):
    """The Authorization that botocore makes of the same request, at the same time."""
    names = headers['Authorization'].split('SignedHeaders=')[1].split(',')[0].split(';')
    request = AWSRequest('POST', url, data=body, headers={name: headers[name] for name in names})
    request.context['timestamp'] = headers['X-Amz-Date']
    auth = SigV4Auth(credentials, 'kinesis', region)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return ', '.join(['AWS4-HMAC-SHA256 Credential=' + auth.scope(request),
                      'SignedHeaders=' + ';'.join(names), 'Signature=' + auth.signature(text, request)])


def ask(region, credentials, *command):
    seen.clear()
    url = f'http://127.0.0.1:{server.server_port}/'
    environment = {**os.environ, 'AWS_ENDPOINT_URL': url, 'AWS_REGION': region,
                   'AWS_ACCESS_KEY_ID': credentials.access_key, 'AWS_SECRET_ACCESS_KEY': credentials.secret_key}
    if credentials.token:
        environment['AWS_SESSION_TOKEN'] = credentials.token
    subprocess.run([sys.argv[1], *command], env=environment, capture_output=True, check=False)
    for path, headers, body in seen:
        expected = signed_again(url.rstrip('/') + path, headers, body, credentials, region)
        is_good = headers['Authorization'].replace(', ', ',') == expected.replace(', ', ',')
        check(f'{" ".join(command[:2])} in {region}', is_good and headers['X-Amz-Security-Token'] == credentials.token,
              (headers['Authorization'], expected))
    check(f'{command[0]} asked', len(seen) > 0)
    check('what must be signed is', all({'host', 'x-amz-date', 'x-amz-target'} <= set(
        headers['Authorization'].split('SignedHeaders=')[1].split(',')[0].split(';')) for _, headers, _ in seen))


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
plain = Credentials('AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY')
session = Credentials('ASIDEXAMPLE', 'a/+= secret', 'a+session/token==')
for region in ['us-east-1', 'eu-central-2']:
    for credentials in [plain, session]:
        ask(region, credentials, 'list')
        ask(region, credentials, 'describe', 'some.stream')
        ask(region, credentials, 'put', 'some.stream', '--key', 'schlüssel', 'daten \x01 €' * 1000)
server.shutdown()
