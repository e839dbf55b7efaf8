"""Checks on what the program printed and recorded, by nothing but its documented formats."""

import json
import subprocess
import sys

KEYS = [
    "schema", "target", "split", "seed", "duration_s", "slo", "requests", "prefix", "offered_rps", "goodput_rps",
    "attainment", "input_tps", "output_tps", "ttft_ms", "ttft_sent_ms", "tpot_ms", "itl_ms", "e2e_ms", "lag_ms",
    "window", "client", "shifts", "recording",
]


def summary(path):
    text = open(path).read()
    found = json.loads(text)  # exactly one object
    assert list(found)[: len(KEYS)] == KEYS, list(found)
    return found


def records(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def counts(summary_path, recording_path, expected):
    requests = summary(summary_path)["requests"]
    expected = int(expected)
    assert requests["offered"] == requests["sent"] == requests["completed"] == expected, requests
    assert requests["failed"] == requests["cut"] == requests["shed"] == requests["cancelled"] == 0, requests
    kinds = [record["k"] for record in records(recording_path)]
    assert kinds[0] == "run" and kinds[-1] == "end", (kinds[0], kinds[-1])
    assert kinds.count("run") == kinds.count("end") == 1 and kinds.count("req") == expected, len(kinds)


def same(one, other):
    one, other = summary(one), summary(other)
    differing = [key for key in one if one[key] != other.get(key)]
    assert not differing, [(key, one[key], other.get(key)) for key in differing]


def some(path):
    requests = summary(path)["requests"]
    assert 0 < requests["completed"] < 200, requests


def ended(summary_path, recording_path):
    """Stopped early, but properly: everything that was sent was answered, and the recording has its end."""
    some(summary_path)
    requests = summary(summary_path)["requests"]
    assert requests["offered"] == requests["sent"] == requests["completed"], requests
    assert records(recording_path)[-1]["k"] == "end"


def told(summary_path, recording_path, expected, units):
    """The server told of every request, of each of its units, and of where the client's TTFT went."""
    run = summary(summary_path)
    server = run["server"]
    # A page that took too long, while the server's units have both cores, is one less, and not the last one.
    assert server["failed_scrapes"] < 5, server
    (whole,) = [row for row in server["rows"] if row["whole"]]
    assert whole["prefill_ms"]["n"] == whole["queue_ms"]["n"] == int(expected), whole
    single = [row for row in server["rows"] if row["unit"] is not None]
    assert len(single) == int(units), single
    account = server["ttft"]
    print("   ttft:", account["client_ms"], account["parts"], account["rest_ms"], account["rest"])
    assert account["rest_ms"] > 0 and not account["doubts"], account
    kinds = [record for record in records(recording_path) if record["k"] == "server"]
    assert sum(record.get("prefill", [0])[0] for record in kinds if record.get("whole")) == int(expected)


def same_answers(plain_path, other_path, *digests):
    """Every request of the other run was answered in full, with the same tokens."""
    plain = {r["i"]: r for r in records(plain_path) if r["k"] == "req"}
    other = {r["i"]: r for r in records(other_path) if r["k"] == "req"}
    assert plain.keys() == other.keys()
    for number, request in other.items():
        assert request["out"] == request["asked"] and request["in"] == plain[number]["in"], request
        for digest in digests:
            assert request[digest] == plain[number][digest], (number, digest, request[digest], plain[number][digest])


def latencies(*summary_paths):
    """Every latency is there and in order, whatever it is: a machine that is shared says nothing of its size."""
    for path in summary_paths:
        found = summary(path)
        for name in ("ttft_ms", "ttft_sent_ms", "tpot_ms", "itl_ms", "e2e_ms", "lag_ms"):
            of = found[name]
            assert 0 <= of["p50"] <= of["p90"] <= of["p95"] <= of["p99"] <= of["max"], (path, name, of)
        p50 = {name: found[name]["p50"] for name in ("ttft_ms", "ttft_sent_ms", "e2e_ms")}
        assert 0 < p50["ttft_sent_ms"] <= p50["ttft_ms"] < p50["e2e_ms"], (path, p50)
        assert found["lag_ms"]["p99"] < found["ttft_ms"]["p99"], (path, found["lag_ms"], found["ttft_ms"])
        figures = [f"{name} p50 {found[name]['p50']:.1f} p99 {found[name]['p99']:.1f}" for name in ("ttft_ms", "tpot_ms", "lag_ms")]
        print(f"   {path}: {', '.join(figures)}")


def shifts(summary_path, shifted_path, *splits):
    reported = summary(summary_path)["shifts"]
    assert [shift["to"] for shift in reported] == list(splits), reported
    for shift in reported:
        assert isinstance(shift["drain_ms"], (int, float)) and shift["lost"] == 0, shift
    # Every unit passes through its states in order. What it held when it began to drain depends on the machine's speed:
    # `drained` asks for that where time is simulated.
    following = {
        "serving": {"draining"}, "draining": {"draining", "switching", "serving"},
        "switching": {"warming"}, "warming": {"serving"},
    }
    state, role = {}, {}
    for record in records(shifted_path):
        if record["k"] != "unit":
            continue
        unit, now = record["unit"], record["state"]
        before = state.get(unit)
        assert before is None or now in following[before] or now == before, (unit, before, now)
        state[unit], role[unit] = now, record["role"]
    assert set(state.values()) == {"serving"}, state
    prefill = sum(name == "P" for name in role.values())
    assert prefill == int(splits[-1].split("P")[0]), role


def nothing_lost(found, splits):
    """Every shift converged under load, with nothing failed and nothing cut."""
    requests = found["requests"]
    assert requests["offered"] == requests["sent"] == requests["completed"] > 0, requests
    assert requests["failed"] == requests["cut"] == requests["shed"] == requests["cancelled"] == 0, requests
    assert [shift["from"] for shift in found["shifts"]] == list(splits[:-1]), found["shifts"]
    assert [shift["to"] for shift in found["shifts"]] == list(splits[1:]), found["shifts"]
    for shift in found["shifts"]:
        assert shift["abandoned"] is None and shift["lost"] == 0, shift
        print(f"   {shift['from']} to {shift['to']}: {shift['total_ms']:.0f} ms, {shift['drain_ms']:.0f} ms of it draining")


def peer_shifts(summary_path, recording_path, *splits):
    """A real control plane took every shift, by ending processes and starting others."""
    found = summary(summary_path)
    nothing_lost(found, splits)
    for shift in found["shifts"]:
        # A process that ends and another that starts take their time, on any machine.
        assert shift["total_ms"] > shift["drain_ms"] >= 0 and shift["total_ms"] > 500, shift
    states = {(record["role"], record["state"]) for record in records(recording_path) if record["k"] == "unit"}
    wanted = {("P", "warming"), ("D", "warming"), ("P", "serving"), ("D", "serving")}
    assert wanted <= states, states


def told_workers(summary_path, recording_path, prefill, decode):
    """Every request names its two workers, with what it took by the server's clock, which is no more than what the client saw; so
    many workers of each role had a part in it, and the summary has figures of each and knows its unit. Of a request, too, the units are
    known, unless one of them was so new that nobody had looked yet, or a look took too long."""
    requests = [record for record in records(recording_path) if record["k"] == "req"]
    assert requests
    for request in requests:
        server = request["server"]
        told = server["told"]
        assert told["p"].isdigit() and told["d"].isdigit() and told["p"] != told["d"], request
        assert "p" not in server or "d" not in server or server["p"] != server["d"], request
        assert 0 < told["ttft"] <= told["total"], request
        assert told["ttft"] <= request["first"] - request["sent"] + 20_000, request
    placed = [request for request in requests if {"p", "d"} <= request["server"].keys()]
    assert len(placed) >= 0.8 * len(requests), f"{len(placed)} of {len(requests)} requests have their units"
    workers = summary(summary_path)["workers"]
    for role, key, latency, count in (("prefill", "p", "ttft_ms", prefill), ("decode", "d", "tpot_ms", decode)):
        of_role = [worker for worker in workers if worker["role"] == role]
        assert {worker["name"] for worker in of_role} == {request["server"]["told"][key] for request in requests}, of_role
        assert len(of_role) == int(count) and sum(worker["requests"] for worker in of_role) == len(requests), of_role
        assert all(worker["unit"] is not None and worker[latency]["p50"] > 0 for worker in of_role), of_role


def peer_flips(summary_path, recording_path, *splits):
    """Every shift was taken, whoever moved staying the unit that it was, and every answer had its length."""
    found = summary(summary_path)
    nothing_lost(found, splits)
    told = records(recording_path)
    for request in (record for record in told if record["k"] == "req"):
        assert request["out"] == request["asked"], request
    units = [record for record in told if record["k"] == "unit"]
    assert len({record["unit"] for record in units}) == 4, "no unit came and none went"
    assert {("P", "serving"), ("D", "serving")} <= {(record["role"], record["state"]) for record in units}, units
    assert any(record["state"] in ("draining", "switching") for record in units), units


def peer_foreign(summary_path, recording_path, *remarks):
    """What somebody else did to the workers is told as that, and every request was answered."""
    requests = summary(summary_path)["requests"]
    assert requests["sent"] == requests["completed"] > 0, requests
    notes = [record["text"] for record in records(recording_path) if record["k"] == "note"]
    for remark in remarks:
        assert any(either in note for note in notes for either in remark.split("|")), (remark, notes)


def peer_cut(summary_path, recording_path, remark):
    """A server cut streams without a word: that is neither completed nor failed, and it was said before. Whose stream had not
    begun is answered with an error, which is a failure."""
    requests = summary(summary_path)["requests"]
    assert requests["cut"] > 0 and requests["completed"] > 0 and requests["failed"] <= 2, requests
    assert requests["sent"] == requests["completed"] + requests["cut"] + requests["failed"], requests
    notes = [record["text"] for record in records(recording_path) if record["k"] == "note"]
    assert any(remark in note for note in notes), notes


def peer_failed(summary_path, recording_path, why):
    """A shift that met a control plane in trouble came to nothing and says why; every request was answered meanwhile."""
    found = summary(summary_path)
    requests = found["requests"]
    assert requests["offered"] == requests["completed"] > 0, requests
    told = [str(shift["abandoned"]) for shift in found["shifts"]]
    told += [record["text"] for record in records(recording_path) if record["k"] == "note"]
    assert any(why in line for line in told), told
    assert not any(shift["abandoned"] is None for shift in found["shifts"]), found["shifts"]


def drained(recording_path):
    """A unit that moved held sequences when it began to drain."""
    held = [r["left"] for r in records(recording_path) if r["k"] == "unit" and r["state"] == "draining"]
    assert held and held[0] > 0, held


def shift(outcome_path, origin, to):
    """A shift by hand came to its end."""
    found = json.load(open(outcome_path))
    assert (found["outcome"], found["from"], found["to"]) == ("converged", origin, to), found


def simulated(summary_path, to, least_ms):
    """One shift of a simulated cluster, which took at least what its profile has a unit switch and warm up for."""
    found = summary(summary_path)
    assert found["target"].startswith("sim:"), found["target"]
    (shift,) = found["shifts"]
    assert shift["to"] == to and shift["lost"] == 0 and shift["total_ms"] >= float(least_ms), shift


def plan(path, most_rps, *splits):
    """Every split is there, the best first, with intervals around their middles, none above what the cluster could ever serve."""
    found = json.load(open(path))
    keys = ["schema", "cluster", "gpus", "slo", "best", "attainment_level", "splits", "advice"]
    assert list(found)[: len(keys)] == keys, list(found)
    assert sorted(split["split"] for split in found["splits"]) == sorted(splits), found["splits"]
    for split in found["splits"]:
        for name in ("goodput_rps", "attainment"):
            of = split[name]
            assert 0 <= of["lo"] <= of["mid"] <= of["hi"], (split["split"], name, of)
        assert 0 < split["tpot_ms"]["p50"] <= split["tpot_ms"]["p99"], split
        assert split["goodput_rps"]["hi"] < float(most_rps) and split["usd_per_mtok"]["lo"] > 0.1, split
        assert (split["chunk"] is not None) == ("A" in split["split"]), split
    worth = [split["goodput_rps"]["mid"] / split["gpus"] for split in found["splits"]]
    assert worth == sorted(worth, reverse=True) and found["best"] == found["splits"][0]["split"], worth
    assert found["advice"]
    for split in found["splits"]:
        of = split["goodput_rps"]
        print(f"   {split['split']}: {of['mid']:.2f} ({of['lo']:.2f}..{of['hi']:.2f}) good/s, TPOT mean {split['tpot_ms']['mean']:.1f} ms")


def lead(path, first, second, published):
    """Of the two splits the first wins, by what was published within a quarter."""
    goodput = {split["split"]: split["goodput_rps"]["mid"] for split in json.load(open(path))["splits"]}
    ratio = goodput[first] / goodput[second]
    assert ratio > 1 and abs(ratio / float(published) - 1) <= 0.25, (goodput, ratio)
    print(f"   {first} over {second}: {ratio:.2f}, published {published}")


def moved(path, *quantities):
    """Half and twice of every quantity were tried, with who wins then, and are told in the advice."""
    found = json.load(open(path))
    changes = found["sensitivity"]
    assert list(dict.fromkeys(change["what"] for change in changes)) == list(quantities), changes
    for change in changes:
        assert change["factor"] in (0.5, 2.0, None) and change["value"] > 0, change
        outcome = change["outcome"]
        assert outcome is None or outcome["best"] is None or outcome["goodput_per_gpu"] > 0, change
    assert any(change["outcome"] and change["outcome"]["best"] for change in changes), changes
    for line in found["advice"]:
        print(f"   {line}")


def cached(path, share):
    """The cache hits what all prompts share, but for what is left of a block."""
    for split in json.load(open(path))["splits"]:
        assert float(share) - 0.01 < split["prefix_hit"] <= float(share), split


def as_simulated(inside_path, served_path):
    """The way over HTTP takes nothing off what the model says; what it adds is the machine's and only shown."""
    inside, served = summary(inside_path), summary(served_path)
    for name in ("ttft_ms", "tpot_ms"):
        ours, theirs = inside[name]["p50"], served[name]["p50"]
        print(f"   {name}: {ours:.1f} inside, {theirs:.1f} served")
        assert ours * 0.8 <= theirs, (name, ours, theirs)


def calibrated(path, most_error):
    """Every kind of probe was asked, what was kept from the fit is predicted, and no constant is known worse than before."""
    found = json.load(open(path))
    assert not found["skipped"] and {row["measure"] for row in found["probes"]} == {"step", "prefill", "hand_off"}, found
    for row in found["probes"]:
        assert abs(row["predicted_ms"] / row["measured_ms"] - 1 - row["error"]) < 1e-6, row
    held_out = [abs(row["error"]) for row in found["probes"] if row["held_out"]]
    assert held_out and max(held_out) == found["held_out"]["max"] < float(most_error), found["held_out"]
    for row in found["constants"]:
        assert 0 < row["spread"] < 1.3 * row["prior_spread"] or not row["identified"], row
    unseen = [row["constant"] for row in found["constants"] if not row["identified"]]
    print(f"   {len(found['probes'])} times, held out within {max(held_out):.1%}, not identified: {', '.join(unseen) or 'none'}")


def served(path, most_error):
    """Over HTTP steps and first tokens are measured, and what was kept from the fit is predicted at the median."""
    found = json.load(open(path))
    assert {row["measure"] for row in found["probes"]} == {"step", "first_token"}, found["probes"]
    assert found["held_out"]["n"] > 0 and found["held_out"]["median"] < float(most_error), found["held_out"]
    assert any(row["identified"] for row in found["constants"]), found["constants"]
    print(f"   {len(found['probes'])} times, {len(found['skipped'])} left out, held out within {found['held_out']['median']:.1%} at the median")


def search(path, stopped, most_rps):
    """The answer is between what was met and what was not, and every verdict follows from its step's own figures. Of a real
    engine `most_rps` is `any`: how much it bears, and whether anything, is the machine's."""
    found = json.load(open(path))
    keys = ["schema", "target", "split", "seed", "slo", "attainment_level", "procedure", "rate_rps", "limit", "steps"]
    assert list(found)[: len(keys)] == keys, list(found)
    assert stopped in ("any", found["stopped"]), found["stopped"]
    rate, steps, level = found["rate_rps"], found["steps"], found["attainment_level"]
    known = [rate[name] for name in ("lo", "mid", "hi") if rate[name] is not None]
    assert known == sorted(known) and all(value > 0 for value in known), rate
    if most_rps != "any":
        assert rate["lo"] and rate["mid"] and known[-1] <= float(most_rps), rate
    met = [step["rate_rps"] for step in steps if step["verdict"] == "met"]
    failed = [step["rate_rps"] for step in steps if step["verdict"] in ("missed", "unsteady", "client")]
    assert met or most_rps == "any", steps
    # A real engine may meet at one time what it has missed at another.
    assert most_rps == "any" or max(met, default=0) < min(failed, default=1e9), steps
    for step in steps:
        of = step["attainment"]
        assert 0 <= of["lo"] <= of["mid"] <= of["hi"] <= 1, step
        assert step["good"] <= step["judged"] <= step["requests"], step
        if step["verdict"] == "met":
            assert step["steady"] and of["mid"] >= level and step["limit"] == "none", step
        if step["verdict"] == "missed":
            assert of["mid"] < level, step
    seeds = {step["seed"] for step in steps}
    assert found["target"].startswith("sim:") or len(seeds) == len(steps), seeds
    text = ", ".join(f"{step['rate_rps']:.2f} {step['verdict']}" for step in steps)
    print(f"   {rate['mid']} ({rate['lo']}..{rate['hi']}) requests/s, {found['limit']}: {text}")


def prefix(summary_path, recording_path, trace_path):
    """The hits reported equal a count from the trace's own block hashes, by full KV blocks of 16 tokens."""
    block, trace_block = 16, 512
    with open(trace_path) as lines:
        requests = [json.loads(line) for _, line in zip(range(summary(summary_path)["requests"]["offered"]), lines)]
    served = {r["i"]: r["in"] for r in records(recording_path) if r["k"] == "req"}
    seen, hits = set(), 0
    for number, request in enumerate(requests):
        chain = request["hash_ids"]
        tokens = served[number]  # what is left of the prompt after --clamp
        keys = [(tuple(chain[: at // trace_block + 1]), at) for at in range(0, tokens - block + 1, block)]
        found = next((at for at, key in enumerate(keys) if key not in seen), len(keys))
        hits += block * min(found, (tokens - 1) // block)  # one token at least is computed
        seen.update(keys)
    reported = summary(summary_path)["prefix"]
    assert reported == {"queried_tokens": sum(served.values()), "hit_tokens": hits}, (reported, hits)


if __name__ == "__main__":
    checks = [
        as_simulated, cached, calibrated, counts, drained, ended, latencies, lead, moved, peer_cut, peer_failed, peer_flips, peer_foreign, peer_shifts, plan,
        prefix, same, same_answers, search, served, shift, shifts, simulated, some, told, told_workers,
    ]
    {check.__name__: check for check in checks}[sys.argv[1]](*sys.argv[2:])
