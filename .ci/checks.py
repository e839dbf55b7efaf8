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


def shifts(summary_path, plain_path, shifted_path, *splits):
    reported = summary(summary_path)["shifts"]
    assert [shift["to"] for shift in reported] == list(splits), reported
    for shift in reported:
        assert isinstance(shift["drain_ms"], (int, float)) and shift["lost"] == 0, shift
    plain = {r["i"]: r for r in records(plain_path) if r["k"] == "req"}
    shifted = {r["i"]: r for r in records(shifted_path) if r["k"] == "req"}
    assert plain.keys() == shifted.keys()
    for number, request in shifted.items():
        assert request["out"] == request["asked"], request
        for digest in ("tokens", "logits"):
            assert request[digest] == plain[number][digest], (number, digest, request[digest], plain[number][digest])
    # Every unit passes through its states in order, and one that moved held something when it began to drain.
    following = {
        "serving": {"draining"}, "draining": {"draining", "switching", "serving"},
        "switching": {"warming"}, "warming": {"serving"},
    }
    state, held_at_drain, role = {}, [], {}
    for record in records(shifted_path):
        if record["k"] != "unit":
            continue
        unit, now = record["unit"], record["state"]
        before = state.get(unit)
        assert before is None or now in following[before] or now == before, (unit, before, now)
        if now == "draining" and before != "draining":
            held_at_drain.append(record["left"])
        state[unit], role[unit] = now, record["role"]
    assert set(state.values()) == {"serving"}, state
    assert any(held > 0 for held in held_at_drain), held_at_drain
    letters = "".join(sorted(role.values()))
    assert letters.count("P") == int(splits[-1][0]) or letters.count("prefill") == int(splits[-1][0]), role


if __name__ == "__main__":
    {"counts": counts, "same": same, "some": some, "shifts": shifts}[sys.argv[1]](*sys.argv[2:])
