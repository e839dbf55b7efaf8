"""An etcd with users, and what scales by the planner's keys there without Dynamo: it registers as many workers as are wanted, and
has etcd forget the token of whoever decides each time before. Usage: etcd_users.py URL CA_FILE USER:PASSWORD SPLIT"""

import base64
import json
import re
import ssl
import sys
import time
import urllib.request

url, ca_file, login, split = sys.argv[1:]
user, password = login.split(":")
context = ssl.create_default_context(cafile=ca_file)
token = None


def call(path, **body):
    headers = {"Authorization": token} if token else {}
    request = urllib.request.Request(f"{url}/v3/{path}", json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=10, context=context))


def coded(text):
    return base64.b64encode(text.encode()).decode()


def below(prefix):
    return {"key": coded(prefix), "range_end": coded(prefix[:-1] + chr(ord(prefix[-1]) + 1))}


def values():
    pairs = call("kv/range", **below(PLANNER)).get("kvs", [])
    return {base64.b64decode(kv["key"]).decode(): base64.b64decode(kv["value"]).decode() for kv in pairs}


def register(prefill, decode):
    call("kv/deleterange", **below(INSTANCES))
    for component, count in (("prefill", prefill), ("backend", decode)):
        for at in range(count):
            call("kv/put", key=coded(f"{INSTANCES}{component}/generate/{at + 1:x}{len(component)}"), value=coded("{}"))


PLANNER, INSTANCES = "v1/dynamo/planner/", "v1/instances/dynamo/"
register(*map(int, re.findall(r"\d+", split)))
call("auth/role/add", name="decides")
for kind, prefix in (("READWRITE", PLANNER), ("READ", INSTANCES)):
    call("auth/role/grant", name="decides", perm={"permType": kind, **below(prefix)})
call("auth/role/add", name="root")
for name, role in (("root", "root"), (user, "decides")):
    call("auth/user/add", name=name, password=password)
    call("auth/user/grant", user=name, role=role)
call("auth/enable")
token = call("auth/authenticate", name="root", password=password)["token"]
print("ready", flush=True)
for attempt in range(600):
    now = values()
    decided = now.get(f"{PLANNER}decision_id")
    if decided is not None and decided != now.get(f"{PLANNER}scaled_decision_id"):
        call("auth/user/changepw", name=user, password=password)
        token = call("auth/authenticate", name="root", password=password)["token"]
        # Who sees the workers sees that all is done.
        print(f"decision {decided}", flush=True)
        call("kv/put", key=coded(f"{PLANNER}scaled_decision_id"), value=coded(decided))
        register(*(int(now[f"{PLANNER}num_{role}_workers"]) for role in ("prefill", "decode")))
    time.sleep(0.2)
