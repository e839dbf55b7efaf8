"""Runs a command and tells how much a server's own counters rose meanwhile. Usage: watch.py OUT SOURCE COMMAND...

SOURCE is the address of a page in Prometheus' text, or `ray:FILE,DASHBOARD`: Ray's list of the pages of its nodes, and where it
tells which deployment a replica is of. Counters of a process that ends meanwhile stay as they were last seen. Once the command
has ended, it is watched on until nothing has changed for longer than Ray takes to report. OUT is JSON: how much every series of
vLLM's has risen, under its own names and without Ray's labels, but for the deployment.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request

SETTLED_S, MOST_S = 15, 120
LINE = re.compile(r"(?:ray_)?(vllm[:_][a-z0-9_:]+)(?:\{(.*)\})? ([^ ]+)")
LABEL = re.compile(r'([A-Za-z0-9_]+)="((?:[^"\\]|\\.)*)"')
KEPT = {"le", "finished_reason", "source", "ReplicaId"}


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


class Watch:
    def __init__(self, source):
        self.file, _, self.dashboard = source.removeprefix("ray:").partition(",")
        self.of_ray = source.startswith("ray:")
        self.page = source
        self.deployments = {}
        self.values = {}

    def pages(self):
        if not self.of_ray:
            return [self.page]
        with open(self.file) as file:
            return [f"http://{target}/metrics" for node in json.load(file) for target in node["targets"]]

    def look(self):
        """One look more; one that fails is one less, and without any the comparison fails."""
        try:
            for page in self.pages():
                for line in get(page).splitlines():
                    found = LINE.fullmatch(line)
                    if found and not found[1].endswith("_created"):
                        labels = [(name, value) for name, value in LABEL.findall(found[2] or "") if name in KEPT]
                        self.values[found[1].replace(":", "_", 1), tuple(sorted(labels))] = float(found[3])
            if self.of_ray:
                told = json.loads(get(f"{self.dashboard}/api/serve/applications/"))["applications"]["pd"]["deployments"]
                for name, deployment in told.items():
                    self.deployments.update({replica["replica_id"]: name for replica in deployment["replicas"]})
        except (OSError, KeyError) as error:
            print(f"   a look has failed: {error!r}", file=sys.stderr)
        return dict(self.values)

    def rises(self, before):
        for (name, labels), value in sorted(self.values.items()):
            told = dict(labels)
            replica = told.pop("ReplicaId", None)
            if replica:
                told["deployment"] = self.deployments.get(replica, "unknown")
            yield {"name": name, "labels": told, "rise": value - before.get((name, labels), 0)}


def main():
    out, source, *command = sys.argv[1:]
    watch = Watch(source)
    before = watch.look()
    child = subprocess.Popen(command)
    while child.poll() is None:
        watch.look()
        time.sleep(1)
    ended = changed = time.monotonic()
    seen = watch.look()
    while time.monotonic() < min(changed + SETTLED_S, ended + MOST_S):
        time.sleep(1)
        now = watch.look()
        if now != seen:
            seen, changed = now, time.monotonic()
    with open(out, "w") as file:
        json.dump(list(watch.rises(before)), file, indent=1)
    sys.exit(child.returncode)


main()
