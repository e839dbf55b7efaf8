"""Deploys the application and waits until every replica runs. Usage: deploy.py DASHBOARD PORT SECONDS"""

import json
import sys
import time
import urllib.request

ONE_EACH = ["Prefill:tiny", "Decode:tiny", "OpenAiIngress"]


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method="GET" if body is None else "PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def main():
    dashboard, port, seconds = sys.argv[1:]
    url = f"{dashboard}/api/serve/applications/"
    deployments = [{"name": name, "num_replicas": 1} for name in ONE_EACH]
    application = {"name": "pd", "route_prefix": "/", "import_path": "llm_app:build", "args": {}, "deployments": deployments}
    http = {"host": "127.0.0.1", "port": int(port)}
    body = {"proxy_location": "HeadOnly", "http_options": http, "applications": [application]}
    begun, asked, seen = time.monotonic(), False, "nobody answers"
    while time.monotonic() - begun < float(seconds):
        try:
            if not asked:
                call(url, body)
                asked = True
            told = json.loads(call(url))["applications"].get("pd", {})
        except OSError as error:  # the dashboard is not up yet, or busy
            seen = str(error)
            time.sleep(1)
            continue
        there = told.get("deployments", {})
        states = {name: [replica["state"] for replica in there.get(name, {}).get("replicas", [])] for name in ONE_EACH}
        if told.get("status") == "RUNNING" and all(found == ["RUNNING"] for found in states.values()):
            print(f"   up after {time.monotonic() - begun:.0f} s")
            return
        seen = f"{told.get('status')} {told.get('message')} {states}"
        if told.get("status") == "DEPLOY_FAILED":
            break
        time.sleep(1)
    sys.exit(f"the application is not up after {time.monotonic() - begun:.0f} s: {seen}")


main()
