"""The prefill-decode application of Ray Serve LLM, as its own builder makes it, with vLLM engines on CPUs and KV over NIXL.

PDTUNE_TINY is the folder of the model.
"""

import os

from ray.serve.llm import LLMConfig, build_pd_openai_app

ENGINE_ENVIRONMENT = {
    name: os.environ[name]
    for name in ("HF_HUB_OFFLINE", "OMP_NUM_THREADS", "UCX_TLS", "VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND",
                 "VLLM_NO_USAGE_STATS")
}


def engine():
    return LLMConfig(
        model_loading_config={"model_id": "tiny", "model_source": os.environ["PDTUNE_TINY"]},
        accelerator_config={"kind": "cpu"},
        deployment_config={"num_replicas": 1, "graceful_shutdown_timeout_s": 60},
        runtime_env={"env_vars": ENGINE_ENVIRONMENT},
        engine_kwargs={
            "load_format": "dummy", "dtype": "bfloat16", "max_model_len": 4096, "max_num_seqs": 16, "enforce_eager": True,
            "kv_transfer_config": {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_buffer_device": "cpu"},
        },
    )


def build(_):
    return build_pd_openai_app({"prefill_config": engine(), "decode_config": engine()})
