"""Stands before a gateway that takes prompts as text alone: ids of tokens become as many words, and all else is passed on.

Usage: words.py GATEWAY_URL. Prints its own address.
"""

import json
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

gateway = sys.argv[1]


class Words(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.pass_on(None)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        if isinstance(asked.get("prompt"), list):
            asked["prompt"] = " ".join(f"w{token}" for token in asked["prompt"])
            body = json.dumps(asked).encode()
        self.pass_on(body)

    def pass_on(self, body):
        request = urllib.request.Request(gateway + self.path, body, {"content-type": "application/json"})
        try:
            answer = urllib.request.urlopen(request, timeout=120)
        except urllib.error.HTTPError as error:
            answer = error
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers.get("content-type", "application/json"))
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        # As it comes. A gateway that cuts its answer raises here, and so cuts this one.
        while piece := answer.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Words)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
