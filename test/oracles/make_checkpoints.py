"""Makes a tiny checkpoint of each family and the logits that PyTorch computes with it, for test/unit/conversion.

Run from the repository's root: python test/oracles/make_checkpoints.py (torch, transformers 5, safetensors, numpy).

Weights are not stored: both this script and the tests make them with the same generator (`value` below), from the name
of each tensor, so that a fixture is a few kilobytes. Every norm, bias and scale is non-trivial.
"""

import json
import math
import os
import zlib

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoints")
rng = np.random.default_rng(5)
VOCAB = 97
IDS = [int(i) for i in rng.integers(3, VOCAB, 26)]

base = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=0)
llama = dict(base, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
gpt = dict(base, n_embd=32, n_head=4, n_layer=2, n_positions=64)

llama3_scaling = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                      original_max_position_embeddings=16, rope_theta=5000.0)

# name: (model_type, configuration)
cases = {
    "llama": ("llama", dict(llama, rms_norm_eps=1e-5, attention_bias=True, mlp_bias=True)),
    "llama3": ("llama", dict(llama, tie_word_embeddings=True, rope_parameters=llama3_scaling)),
    "llama-linear": ("llama", dict(llama, head_dim=16, rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=10000.0))),
    "llama-dynamic": ("llama", dict(llama, rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=10000.0))),
    "llama-yarn": ("llama", dict(llama, rope_parameters=dict(rope_type="yarn", factor=4.0, rope_theta=10000.0,
                                                            original_max_position_embeddings=16))),
    "smollm3": ("smollm3", dict(llama, num_hidden_layers=4)),
    "qwen2": ("qwen2", dict(llama, use_sliding_window=True, sliding_window=8, max_window_layers=1)),
    "qwen3": ("qwen3", dict(llama, head_dim=16, tie_word_embeddings=True)),
    "mistral": ("mistral", dict(llama, sliding_window=8)),
    "granite": ("granite", dict(llama, embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.4,
                                logits_scaling=2.0, tie_word_embeddings=True)),
    "gemma": ("gemma", dict(llama, head_dim=16, hidden_act="gelu_pytorch_tanh")),
    "gemma2": ("gemma2", dict(llama, head_dim=16, query_pre_attn_scalar=10, sliding_window=8,
                              attn_logit_softcapping=3.0, final_logit_softcapping=2.0)),
    "gemma3": ("gemma3_text", dict(llama, num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=10, sliding_window=8,
                                   layer_types=["sliding_attention", "sliding_attention", "full_attention"])),
    "phi3": ("phi3", dict(llama, sliding_window=9)),
    "phi3-longrope": ("phi3", dict(llama, num_attention_heads=2, num_key_value_heads=1, original_max_position_embeddings=32,
                                   rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                                                        original_max_position_embeddings=32,
                                                        short_factor=[1.0 + 0.1 * i for i in range(6)],
                                                        long_factor=[2.0 + 0.1 * i for i in range(6)]))),
    "phi": ("phi", dict(llama, num_key_value_heads=4, qk_layernorm=True)),
    "olmo": ("olmo", dict(llama)),
    "olmo2": ("olmo2", dict(llama)),
    "stablelm": ("stablelm", dict(llama, head_dim=None, use_qkv_bias=True,
                                  rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25))),
    "stablelm-parallel": ("stablelm", dict(llama, use_parallel_residual=True)),
    "cohere": ("cohere", dict(llama, logit_scale=0.25)),
    "gpt2": ("gpt2", gpt),
    "gptj": ("gptj", dict(gpt, rotary_dim=4)),
    "gpt-neo": ("gpt_neo", dict(base, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=64,
                                intermediate_size=48, window_size=8, attention_types=[[["global", "local"], 1]])),
    "gpt-neox": ("gpt_neox", dict(llama, num_key_value_heads=None, tie_word_embeddings=False)),
    "gpt-neox-sequential": ("gpt_neox", dict(llama, num_key_value_heads=None, tie_word_embeddings=False, use_parallel_residual=False)),
    "opt": ("opt", dict(base, hidden_size=32, word_embed_proj_dim=32, ffn_dim=48, num_hidden_layers=2,
                        num_attention_heads=4, max_position_embeddings=64)),
    "falcon": ("falcon", dict(base, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, bias=False,
                              max_position_embeddings=64)),
    "falcon-new": ("falcon", dict(base, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
                                  new_decoder_architecture=True, bias=True, max_position_embeddings=64)),
}


def values(name, count):
    """Numbers in [-1, 1) from the name: splitmix-like, with products that doubles hold exactly."""
    seed = zlib.crc32(name.encode())
    i = np.arange(count, dtype=np.uint64)
    x = (i * np.uint64(2654435761) + np.uint64(seed)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x45D9F3B), (15, 0x2C1B3C6D)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x = x ^ (x >> np.uint64(16))
    return (x.astype(np.float64) / 2**31 - 1).astype(np.float32)


# Element types other than float32, and cases whose weights lie in two files.
types = {"mistral": "F16", "qwen3": "BF16"}
sharded = {"smollm3"}


def weight(name, shape, kind):
    """Matrices have values of about 1/sqrt(in); norms lie around 1; biases around 0."""
    x = values(name, math.prod(shape)).reshape(shape)
    if len(shape) > 1:
        x = x * np.float32(0.35)
    else:
        x = np.float32(1) + x * np.float32(0.3) if name.endswith("weight") else x * np.float32(0.3)
    if kind == "F16":
        return np.floor(x * np.float32(512)) / np.float32(512)
    if kind == "BF16":
        return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return x


def build(name):
    """The model of a case with its weights, and the shapes of the tensors that its checkpoint stores."""
    kind, settings = cases[name]
    config = AutoConfig.for_model(kind, **settings)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    stored = {}
    state = model.state_dict()
    tied = bool(getattr(config, "tie_word_embeddings", False))
    for key, tensor in state.items():
        if tied and key in ("lm_head.weight", "embed_out.weight"):
            continue
        if not tensor.is_floating_point() or "inv_freq" in key or key.endswith((".attn.bias", ".attention.bias", "masked_bias")):
            continue
        stored[key] = list(tensor.shape)
        state[key] = torch.from_numpy(weight(key, tuple(tensor.shape), types.get(name, "F32")))
    model.load_state_dict(state)
    if tied:
        model.tie_weights()
    return model, stored


def main():
    os.makedirs(folder, exist_ok=True)
    made = {}
    for name in cases:
        model, stored = build(name)
        with torch.no_grad():
            logits = model(torch.tensor([IDS])).logits[0].double().numpy()
        made[name] = {
            "config": json.loads(model.config.to_json_string(use_diff=True)),
            "type": types.get(name, "F32"),
            "files": 2 if name in sharded else 1,
            "tensors": stored,
            # Six positions, of which two are beyond the windows; fewer digits than float32 has are enough.
            "logits": {str(t): [float(f"{v:.6g}") for v in logits[t]] for t in (0, 4, 7, 12, 25)},
        }
        print(name, float(np.abs(logits).max()))
    with open(os.path.join(folder, "families.json"), "w") as file:
        file.write('{"ids": ' + json.dumps(IDS) + ',\n"cases": {\n')
        file.write(",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in made.items()))
        file.write("\n}}\n")


if __name__ == "__main__":
    main()
