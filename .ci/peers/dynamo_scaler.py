"""Starts and ends mockers as the keys of Dynamo's planner in etcd say, by Dynamo's own client of them: the operator's part.

Usage: dynamo_scaler.py MODEL-FOLDER NAMESPACE xPyD
"""

import asyncio
import re
import signal
import subprocess
import sys

from dynamo._core import DistributedRuntime, VirtualConnectorClient

model, namespace, first = sys.argv[1:]
running = {"prefill": [], "decode": []}


def scale(counts):
    for role, count in counts.items():
        of_role = running[role]
        while len(of_role) > count:
            last = of_role.pop()
            last.send_signal(signal.SIGTERM)
            last.wait()
        while len(of_role) < count:
            options = ["--model-path", model, "--model-name", "tiny", "--disaggregation-mode", role, "--num-workers", "1"]
            of_role.append(subprocess.Popen([sys.executable, "-m", "dynamo.mocker", *options]))


async def main():
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    runtime = DistributedRuntime(loop, "etcd", "tcp", event_plane="zmq")
    client = VirtualConnectorClient(runtime, namespace)

    async def obey():
        while True:
            await client.wait()
            decision = await client.get()
            print("decision", decision.decision_id, decision.num_prefill_workers, decision.num_decode_workers, flush=True)
            scale({"prefill": decision.num_prefill_workers, "decode": decision.num_decode_workers})
            await client.complete(decision)

    obeying = asyncio.ensure_future(obey())
    ending = asyncio.ensure_future(over.wait())
    await asyncio.wait([obeying, ending], return_when=asyncio.FIRST_COMPLETED)
    if obeying.done():
        obeying.result()


prefill, decode = map(int, re.fullmatch(r"(\d+)P(\d+)D", first).groups())
scale({"prefill": prefill, "decode": decode})
try:
    asyncio.run(main())
finally:
    scale({"prefill": 0, "decode": 0})
