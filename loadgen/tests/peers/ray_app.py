"""A prefill-decode application for Ray Serve without a model: deployments, roles and streams are real, the tokens are not.

Deployments are called as Ray's own builder calls those of `build_pd_openai_app`: Prefill:MODEL, Decode:MODEL and an ingress
that speaks OpenAI's completions. Every replica of the two takes one `unit`, a custom resource: a cluster that has as many units
as replicas is full, and what is asked for beyond waits.
"""

import asyncio
import json
import os
import uuid

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from ray import serve

PROMPT_US_PER_TOKEN = float(os.environ.get("PDTUNE_PROMPT_US_PER_TOKEN", "100"))
STEP_MS = float(os.environ.get("PDTUNE_STEP_MS", "5"))
STEP_MS_PER_SEQUENCE = float(os.environ.get("PDTUNE_STEP_MS_PER_SEQUENCE", "0.5"))

api = FastAPI()


class Prefill:
    """Computes one prompt at a time."""

    def __init__(self):
        self.turn = asyncio.Lock()
        self.name = serve.get_replica_context().replica_id.unique_id

    async def compute(self, prompt_tokens):
        async with self.turn:
            await asyncio.sleep(prompt_tokens * PROMPT_US_PER_TOKEN / 1e6)
        return self.name


class Decode:
    """Has its prompts computed, then streams tokens, slower the more sequences there are."""

    def __init__(self, prefill):
        self.prefill = prefill
        self.running = 0

    async def answer(self, prompt_tokens, output_tokens):
        await self.prefill.compute.remote(prompt_tokens)
        self.running += 1
        try:
            for number in range(output_tokens):
                await asyncio.sleep((STEP_MS + STEP_MS_PER_SEQUENCE * self.running) / 1e3)
                yield number
        finally:
            self.running -= 1


@serve.ingress(api)
class Ingress:
    def __init__(self, model, decode):
        self.model = model
        self.decode = decode

    @api.get("/v1/models")
    async def models(self):
        return {"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": "nobody"}]}

    @api.post("/v1/completions")
    async def completions(self, request: Request):
        asked = await request.json()
        if asked.get("model") != self.model:
            return JSONResponse({"error": {"message": f"there is no model {asked.get('model')}", "code": 404}}, 404)
        prompt = asked.get("prompt", "")
        prompt_tokens, output_tokens = len(prompt), int(asked.get("max_tokens") or 16)
        tokens = self.decode.options(stream=True).answer.remote(prompt_tokens, output_tokens)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": 0, "model": self.model}

        async def stream():
            async for number in tokens:
                reason = "length" if number + 1 == output_tokens else None
                choice = {"index": 0, "text": " t", "logprobs": None, "finish_reason": reason}
                yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
            usage = {"prompt_tokens": prompt_tokens, "completion_tokens": output_tokens}
            yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")


def build(args):
    model = args["model"]
    unit = {"max_ongoing_requests": 10_000, "ray_actor_options": {"num_cpus": 0.1, "resources": {"unit": 1}}}
    prefill = serve.deployment(Prefill, name=f"Prefill:{model}", num_replicas=2, **unit).bind()
    decode = serve.deployment(Decode, name=f"Decode:{model}", num_replicas=2, **unit).bind(prefill)
    ingress = {"max_ongoing_requests": 10_000, "ray_actor_options": {"num_cpus": 0.1}}
    return serve.deployment(Ingress, name="OpenAiIngress", num_replicas=1, **ingress).bind(model, decode)
