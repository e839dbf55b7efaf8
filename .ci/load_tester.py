"""Loads a running `pdtune serve` with a public load tester. Usage: load_tester.py BASE_URL TOKENIZER_FOLDER

NVIDIA's aiperf, beside this Python, sends streamed completions and chats that are not streamed. No request may fail, and
what it has counted has to be what the server has counted.
"""

import json
import pathlib
import subprocess
import sys
import urllib.request

BASE, TOKENIZER = sys.argv[1], str(pathlib.Path(sys.argv[2]).resolve())
INPUT, OUTPUT = 64, 16


def get(path):
    with urllib.request.urlopen(f"{BASE}{path}") as answer:
        return answer.read().decode()


MODEL = json.loads(get("/v1/models"))["data"][0]["id"]


def counted():
    figures = [line for line in get("/metrics").splitlines() if not line.startswith("#")]

    def value(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in figures if line.startswith(name))

    return {
        "admitted": value("pdtune_requests_admitted_total{"),
        "complete": value('vllm:request_success_total{model_name="built-in",finished_reason="length"}'),
        "prompt": value("vllm:prompt_tokens_total{"),
        "output": value("vllm:generation_tokens_total{"),
        "first tokens": value("vllm:time_to_first_token_seconds_count{"),
    }


def load(name, requests, *options):
    before = counted()
    command = [str(pathlib.Path(sys.executable).with_name("aiperf")), "profile", "--model", MODEL, "--url", BASE]
    command += ["--tokenizer", TOKENIZER, "--isl", f"{INPUT}", "--isl-stddev", "0", "--osl", f"{OUTPUT}", "--osl-stddev", "0"]
    command += ["--concurrency", "4", "--request-count", f"{requests}", "--extra-inputs", "ignore_eos:true"]
    command += ["--use-server-token-count", "--ui-type", "none", "--no-gpu-telemetry", "--no-server-metrics"]
    command += ["--artifact-dir", name, *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    report = json.loads(pathlib.Path(name, "profile_export_aiperf.json").read_text())

    def total(figure):
        return report[figure]["avg"]

    assert report["is_complete"] and not report["was_cancelled"] and report["error_summary"] == [], report["error_summary"]
    assert total("request_count") == total("completed_request_count") == requests, report["request_count"]
    assert total("request_error_rate") == 0, report["request_error_rate"]
    assert total("total_usage_completion_tokens") == OUTPUT * requests, report["total_usage_completion_tokens"]
    gained = {key: value - before[key] for key, value in counted().items()}
    expected = {
        "admitted": requests,
        "complete": requests,
        "prompt": total("total_usage_prompt_tokens"),
        "output": OUTPUT * requests,
        "first tokens": requests,
    }
    assert gained == expected, (gained, expected)
    print(f"aiperf {report['aiperf_version']}, {name}: {requests} requests, none failed, {total('total_usage_total_tokens'):.0f} tokens")


load("streamed-completions", 60, "--endpoint-type", "completions", "--streaming")
load("whole-chats", 20, "--endpoint-type", "chat")
