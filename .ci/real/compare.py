"""Holds what the client has seen beside what the server has counted, and says where the difference is.

Usage: compare.py alone|chat|split|grpc SUMMARY RECORDING RISES REQUESTS ISL OSL

RISES is what watch.py wrote of vLLM alone, or of a prefill and decode engines under Ray Serve; `-` of vLLM's gRPC, which has no
page of metrics. The recording has the server's view, too, as pdtune took it from the same pages once a second. A mean out of vLLM's
own histograms is their sum by their count. Ray's have no such sums: those that it shows are made up from the middles of the buckets.
What is certain of a mean there is that it lies between those of the lower and of the upper bounds of the buckets that were hit.
So a server's mean is an interval here, which of vLLM alone is a point.
Before the load one more request is sent, to see whether the server takes such: engines count it, the summary does not.
"""

import json
import subprocess
import sys


# Of the request before the load: its prompt, for an answer of one token.
BEFORE = 4


def recorded(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


class Server:
    """What rose, of all engines or of those of a deployment."""

    def __init__(self, rises, deployment=None):
        self.of_ray = any("deployment" in each["labels"] for each in rises)
        self.rises = [each for each in rises if deployment in (None, each["labels"].get("deployment"))]

    def total(self, name, **labels):
        wanted = labels.items()
        return sum(each["rise"] for each in self.rises if each["name"] == f"vllm_{name}" and wanted <= each["labels"].items())

    def mean_ms(self, name):
        """The least and the most that the mean may be."""
        count = self.total(f"{name}_count")
        assert count > 0, f"there is no {name} of the server"
        if not self.of_ray:
            mean = self.total(f"{name}_sum") / count
            return mean * 1e3, mean * 1e3
        bounds = sorted({float(each["labels"]["le"]) for each in self.rises if each["name"] == f"vllm_{name}_bucket"})
        up_to = {float("-inf"): 0}
        for each in self.rises:
            if each["name"] == f"vllm_{name}_bucket":
                le = float(each["labels"]["le"])
                up_to[le] = up_to.get(le, 0) + each["rise"]
        least = most = 0
        for lower, upper in zip([float("-inf"), *bounds], bounds):
            within = up_to[upper] - up_to[lower]
            if within:
                least, most = least + within * max(lower, 0), most + within * upper
        return least / count * 1e3, most / count * 1e3


def told(interval):
    low, high = interval
    return f"{low:.1f} ms" if low == high else f"{low:.1f} to {high:.1f} ms"


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Client:
    """Means over all requests, in milliseconds."""

    def __init__(self, requests):
        self.lag = mean((r["sent"] - r["due"]) / 1e3 for r in requests)
        self.ttft = mean((r["first"] - r["due"]) / 1e3 for r in requests)
        self.ttft_sent = self.ttft - self.lag
        self.e2e_sent = mean((r["last"] - r["sent"]) / 1e3 for r in requests)
        self.tpot = mean((r["last"] - r["first"]) / 1e3 / (r["out"] - 1) for r in requests)


def counts(summary, records, requests, isl, osl):
    """Everything was answered, in full."""
    of = summary["requests"]
    assert of["offered"] == of["sent"] == of["completed"] == requests, of
    assert of["failed"] == of["cut"] == of["shed"] == of["cancelled"] == 0, of
    done = [record for record in records if record["k"] == "req"]
    assert len(done) == requests and records[-1]["k"] == "end", len(done)
    odd = [record for record in done if (record["in"], record["out"]) != (isl, osl)]
    assert not odd, odd[:3]
    return done


def same(what, ours, theirs, before):
    print(f"   {what}: {ours:,} by the client, {theirs:,.0f} by the server, of which {before} came before the load")
    assert ours + before == theirs, what


def view(summary, role, requests, **means):
    """What pdtune took from the server's pages is what was counted there: it stops to look when the last answer is there, and pages
    are renewed late, so that the last requests may be missing."""
    row = next(row for row in summary["server"]["rows"] if row["role"] == role and row["name"] is None)
    # An engine that starts takes the machine for minutes, and a page may come too late then.
    assert summary["server"]["failed_scrapes"] <= requests / 10, summary["server"]
    for key, (least, most) in means.items():
        told = row[key]
        low, high = told.get("between") or (told["mean"], told["mean"])
        print(f"   {role or 'engine'} {key} as recorded: {low:.1f} to {high:.1f} of {told['n']}; by its pages {least:.1f} to {most:.1f}")
        assert 0.8 * requests <= told["n"] <= requests + 1, (key, told)
        assert low <= most * 1.1 + 1 and least <= high * 1.1 + 1, (key, told, least, most)


def alone(summary, records, rises, requests, isl, osl):
    client, server = Client(counts(summary, records, requests, isl, osl)), Server(rises)
    same("requests", requests, server.total("request_success_total"), 1)
    same("tokens of prompts", requests * isl, server.total("prompt_tokens_total"), BEFORE)
    same("tokens of answers", requests * osl, server.total("generation_tokens_total"), 1)
    first, whole = server.mean_ms("time_to_first_token_seconds"), server.mean_ms("e2e_request_latency_seconds")
    each = server.mean_ms("request_time_per_output_token_seconds")
    print(f"   TTFT, mean: {client.ttft:.1f} ms by the client, {told(first)} by the engine; on the way: "
          f"{client.ttft_sent - first[1]:.1f} ms, {client.lag:.1f} ms late")
    print(f"   TPOT, mean: {client.tpot:.1f} ms by the client, {told(each)} by the engine")
    assert first[0] <= client.ttft_sent and whole[0] <= client.e2e_sent, (first, whole, vars(client))
    # The way there and back is taken once, not with every token.
    assert abs(client.tpot / each[0] - 1) < 0.1, (client.tpot, each)
    view(summary, None, requests, ttft_ms=first, e2e_ms=whole)


def chat(summary, records, rises, requests, isl, osl):
    """The server's template adds its own tokens to a prompt, which the client tells from the server's count."""
    done = [record for record in records if record["k"] == "req"]
    server, of = Server(rises), summary["requests"]
    assert of["offered"] == of["completed"] == requests == len(done), of
    assert all(record["out"] == osl for record in done), done[:3]
    counted = sum(record.get("in_counted", record["in"]) for record in done)
    assert counted > requests * isl * 0.9, counted
    own = server.total("prompt_tokens_total") - counted
    print(f"   chat: {requests} requests, {counted:,} tokens of prompts by the answers' usage, {own:.0f} more of the one before the load")
    assert 0 < own < 100, own
    same("tokens of answers", requests * osl, server.total("generation_tokens_total"), 1)


def grpc(summary, records, _, requests, isl, osl):
    """The ids that came, and the counts that came with them."""
    client, answers = Client(counts(summary, records, requests, isl, osl)), summary["answers"]
    assert answers["counted_by"] == {"usage": 0, "ids": requests, "chunks": 0}, answers
    assert answers["prompt_tokens_counted"] == requests * isl, answers
    print(f"   {requests * isl:,} tokens of prompts, as the answers count them; TTFT, mean: {client.ttft:.1f} ms, late by {client.lag:.1f} ms; TPOT, mean: {client.tpot:.1f} ms")
    assert records[0]["engine"]["server_version"] == "0.32.0", records[0]["engine"]


def split(summary, records, rises, requests, isl, osl):
    done = counts(summary, records, requests, isl, osl)
    client, prefill, decode = Client(done), Server(rises, "Prefill:tiny"), Server(rises, "Decode:tiny")
    same("requests that had their prompt computed", requests, prefill.total("request_success_total"), 1)
    same("requests that were continued", requests, decode.total("request_success_total"), 1)
    same("tokens of prompts", requests * isl, prefill.total("prompt_tokens_total"), BEFORE)
    same("tokens of prompts that were handed over", requests * isl,
         decode.total("prompt_tokens_by_source_total", source="external_kv_transfer"), BEFORE)
    same("tokens of answers", requests * osl, decode.total("generation_tokens_total"), 1)
    computing, waiting = prefill.mean_ms("e2e_request_latency_seconds"), decode.mean_ms("time_to_first_token_seconds")
    each = decode.mean_ms("request_time_per_output_token_seconds")
    engines = computing[0] + waiting[0], computing[1] + waiting[1]
    rest = max(client.ttft_sent - engines[1], 0), client.ttft_sent - engines[0]
    print(f"   TTFT, mean: {client.ttft:.1f} ms by the client, of which it was late by {client.lag:.1f} ms; the prefill engine "
          f"had the prompt for {told(computing)}, a decode engine took {told(waiting)} with the hand-over to its first token; "
          f"ingress, calls between replicas and the way: {told(rest)}")
    print(f"   TPOT, mean: {client.tpot:.1f} ms by the client, {told(each)} by the decode engines")
    assert engines[0] <= client.ttft_sent, (computing, waiting, vars(client))
    assert each[0] * 0.9 <= client.tpot <= each[1] * 1.1, (client.tpot, each)
    view(summary, "prefill", requests, e2e_ms=computing)
    view(summary, "decode", requests, ttft_ms=waiting)
    shifts(summary, done)


def shifts(summary, done):
    """One decode engine more and back, both begun while there was load, and over."""
    last = max(request["due"] for request in done) / 1e6
    steps = [(shift["from"], shift["to"]) for shift in summary["shifts"]]
    assert steps == [("1P1D", "1P2D"), ("1P2D", "1P1D")], steps
    for shift in summary["shifts"]:
        assert shift["abandoned"] is None and shift["lost"] == 0, shift
        assert shift["at_s"] < last, (shift, last)
        print(f"   {shift['from']} to {shift['to']}: {shift['total_ms'] / 1e3:.1f} s, {shift['drain_ms'] / 1e3:.1f} s of it draining")


def main():
    how, summary, recording, rises, *figures = sys.argv[1:]
    with open(summary) as file:
        summary = json.load(file)
    if rises != "-":
        with open(rises) as file:
            rises = json.load(file)
    procedures = {"alone": alone, "chat": chat, "split": split, "grpc": grpc}
    procedures[how](summary, recorded(recording), rises, *map(int, figures))


main()
