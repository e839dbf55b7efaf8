"""Opens idle connections to a running `pdtune serve`, and asks it something beside them. Usage: connections.py BASE_URL N"""

import json
import resource
import socket
import sys
import urllib.parse
import urllib.request

BASE, MANY = sys.argv[1], int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
many = MANY if hard == resource.RLIM_INFINITY else min(MANY, hard - 200)
address = urllib.parse.urlsplit(BASE)


def ask():
    body = json.dumps({"model": "built-in", "prompt": "x", "max_tokens": 2, "ignore_eos": True}).encode()
    request = urllib.request.Request(f"{BASE}/v1/completions", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read())["usage"]["completion_tokens"] == 2


idle = []
for number in range(many):
    idle.append(socket.create_connection((address.hostname, address.port), timeout=60))
    if number % 1000 == 0:
        ask()
ask()
print(f"served beside {many} idle connections")
