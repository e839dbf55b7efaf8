"""Talks to a running `pdtune serve` with the public OpenAI client. Usage: openai_client.py BASE_URL"""

import json
import sys
import urllib.request

import openai

BASE = sys.argv[1]
client = openai.OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0, timeout=120)
MODEL = client.models.list().data[0].id


def get(path):
    with urllib.request.urlopen(f"{BASE}{path}") as answer:
        return answer.status, answer.read().decode()


def completions():
    whole = client.completions.create(model=MODEL, prompt="hello", max_tokens=12, temperature=0)
    assert whole.object == "text_completion" and len(whole.choices) == 1, whole
    assert whole.choices[0].finish_reason == "length" and whole.choices[0].text, whole
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (5, 12, 17), whole
    pieces = list(
        client.completions.create(
            model=MODEL, prompt="hello", max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    assert pieces[-1].choices == [] and pieces[-1].usage == whole.usage.model_copy(
        update={"prompt_tokens_details": pieces[-1].usage.prompt_tokens_details}
    ), pieces[-1]
    streamed = "".join(piece.choices[0].text for piece in pieces[:-1])
    assert streamed == whole.choices[0].text, (streamed, whole)
    assert len(pieces) == 12 + 1 and pieces[-2].choices[0].finish_reason == "length", pieces
    # Token ids, and lists of prompts.
    tokens = client.completions.create(model=MODEL, prompt=list(b"hello"), max_tokens=12, temperature=0)
    assert tokens.choices[0].text == whole.choices[0].text, tokens
    several = client.completions.create(model=MODEL, prompt=["hello", "other"], n=2, max_tokens=3, temperature=0)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3], several
    assert whole.choices[0].text.startswith(several.choices[0].text), several
    # A stop text that is known to come, and a fixed number of tokens.
    text = whole.choices[0].text
    stop = text[len(text) // 2 :][:3]
    stopped = client.completions.create(model=MODEL, prompt="hello", max_tokens=12, temperature=0, stop=[stop])
    assert stopped.choices[0].finish_reason == "stop" and stopped.choices[0].text == text[: text.index(stop)], stopped
    fixed = client.completions.create(
        model=MODEL, prompt="hello", max_tokens=20, extra_body={"ignore_eos": True, "min_tokens": 20}
    )
    assert fixed.usage.completion_tokens == 20, fixed


def likelihoods():
    """The most likely token is the one that is chosen at temperature 0, whoever asks for how likely it was."""
    plain = client.completions.create(model=MODEL, prompt="hello", max_tokens=6, temperature=0)
    told = client.completions.create(model=MODEL, prompt="hello", max_tokens=6, temperature=0, logprobs=3)
    assert told.choices[0].text == plain.choices[0].text and plain.choices[0].logprobs is None, told
    logprobs = told.choices[0].logprobs
    for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert logprob <= 0 and max(top.values()) == logprob and token in top and 1 <= len(top) <= 3, told
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "x"}], max_tokens=4, temperature=0, logprobs=True, top_logprobs=2
    )
    for token in chat.choices[0].logprobs.content:
        assert len(token.top_logprobs) == 2 and token.top_logprobs[0].logprob == token.logprob <= 0, chat


def chats():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour."}]
    whole = client.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=8, temperature=0)
    assert whole.object == "chat.completion" and whole.choices[0].message.role == "assistant", whole
    pieces = list(client.chat.completions.create(model=MODEL, messages=messages, max_tokens=8, temperature=0, stream=True))
    assert pieces[0].choices[0].delta.role == "assistant", pieces[0]
    assert "".join(piece.choices[0].delta.content for piece in pieces) == whole.choices[0].message.content, pieces
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length", pieces[-1]

    def drawn(seed):
        answer = client.chat.completions.create(
            model=MODEL, messages=messages, max_tokens=8, temperature=1.0, top_p=0.95, seed=seed, n=2
        )
        return [choice.message.content for choice in answer.choices]

    assert drawn(3) == drawn(3) and drawn(3)[1] == drawn(4)[0] and drawn(3) != drawn(4)
    # The helper that puts a stream together by itself.
    with client.chat.completions.stream(model=MODEL, messages=messages, max_tokens=8, temperature=0) as stream:
        stream.until_done()
        # (Its final completion would be refused by the client itself: the answer was cut at its length.)
        assert stream.current_completion_snapshot.choices[0].message.content == whole.choices[0].message.content


def errors():
    def refused(kind, call, **arguments):
        try:
            call(**{"model": MODEL, "prompt": "x", "max_tokens": 1, **arguments})
        except kind as error:
            assert error.message and error.type, error
            return error
        raise AssertionError(f"no {kind.__name__}: {arguments}")

    create = client.completions.create
    assert refused(openai.NotFoundError, create, model="gpt-17").code == "model_not_found"
    assert refused(openai.BadRequestError, create, prompt="x" * 100_000).code == "context_length_exceeded"
    assert refused(openai.BadRequestError, create, max_tokens=-1).param == "max_tokens"
    assert refused(openai.BadRequestError, create, temperature=9).param == "temperature"
    assert refused(openai.BadRequestError, create, logprobs=21).param == "logprobs"
    assert refused(openai.BadRequestError, create, logit_bias={"5": -100}).param == "logit_bias"
    assert refused(openai.BadRequestError, create, prompt=[-1]).param == "prompt"


def leaving():
    """Streams that are closed early leave nothing in flight."""
    for _ in range(5):
        stream = client.completions.create(model=MODEL, prompt="x", max_tokens=2000, stream=True)
        next(iter(stream))
        stream.close()
    client.completions.create(model=MODEL, prompt="x", max_tokens=1)
    figures = get("/metrics")[1].splitlines()

    def value(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in figures if line.startswith(name + "{"))

    assert value("pdtune_requests_abandoned_total") == 5, value("pdtune_requests_abandoned_total")
    assert value("vllm:generation_tokens_total") < 2000, value("vllm:generation_tokens_total")
    assert value("pdtune_unit_handoff_bytes_total") > 0 and value("vllm:time_to_first_token_seconds_count") > 0


completions()
likelihoods()
chats()
errors()
leaving()
assert get("/health")[0] == 200
tokens = json.loads(
    urllib.request.urlopen(
        urllib.request.Request(f"{BASE}/tokenize", json.dumps({"prompt": "abc"}).encode(), {"content-type": "application/json"})
    ).read()
)
assert tokens["count"] == len(tokens["tokens"]), tokens
print(f"the openai client {openai.__version__} gets what it expects")
