"""Makes tiny.safetensors and tiny.json: what Hugging Face transformers and PyTorch compute on test/fixtures/tiny.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors onnx numpy
    /tmp/oracle/bin/python test/oracles/make_fixture.py

The weights are read from the package's own onnx/model.onnx ([in, out]; PyTorch keeps [out, in]). The CoPG gradient is
PyTorch's autodiff of the paper's squared residual differences, pair by pair, through h itself: no surrogate, no
stop-gradient, nothing shared with src/learner.
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from transformers import AutoConfig, LlamaForCausalLM

here = Path(__file__).resolve().parent
package = here.parent / "fixtures" / "tiny"
RANK, SCALE, BETA = 4, 2.0, 0.05
LINEARS = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
]


class LoraLinear(torch.nn.Module):
    """x W^T + scale * (x A) B with A [in, r] and B [r, out]; scale 0 is the reference."""

    def __init__(self, linear, a, b):
        super().__init__()
        self.linear, self.a, self.b, self.scale = linear, a, b, SCALE

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.a) @ self.b


def load_model():
    config = AutoConfig.from_pretrained(package)
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config).eval()
    state = model.state_dict()
    graph = onnx.load(package / "onnx" / "model.onnx").graph
    for tensor in graph.initializer:
        if tensor.name not in state:
            continue
        value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        state[tensor.name].copy_(value.T if tensor.name.endswith("_proj.weight") else value)
        del state[tensor.name]
    assert set(state) <= {"lm_head.weight"}, f"not in the ONNX file: {sorted(state)}"
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def attach_adapter(model, rng):
    adapter = {}
    for i, layer in enumerate(model.model.layers):
        for name in LINEARS:
            parent, leaf = layer.get_submodule(name.split(".")[0]), name.split(".")[1]
            linear = getattr(parent, leaf)
            module = f"model.layers.{i}.{name}"
            a = torch.tensor(rng.normal(0, linear.in_features**-0.5, (linear.in_features, RANK)), dtype=torch.float32)
            b = torch.tensor(rng.normal(0, 0.1, (RANK, linear.out_features)), dtype=torch.float32)
            adapter[f"{module}.lora_A"] = a.requires_grad_()
            adapter[f"{module}.lora_B"] = b.requires_grad_()
            setattr(parent, leaf, LoraLinear(linear, a, b))
    return adapter


def set_scale(model, scale):
    for module in model.modules():
        if isinstance(module, LoraLinear):
            module.scale = scale


def logits_of(model, tokens):
    return model(torch.tensor([tokens])).logits[0]


def log_probability(model, row):
    tokens = row["prompt_tokens"] + row["completion_tokens"]
    start = len(row["prompt_tokens"])
    log_softmax = torch.log_softmax(logits_of(model, tokens)[start - 1 : -1], dim=-1)
    return log_softmax.gather(1, torch.tensor(tokens[start:])[:, None]).sum()


def members_of(groups):
    return [[i for i, g in enumerate(groups) if g == group] for group in sorted(set(groups))]


def copg_loss(residual, groups, values, per_group):
    """Mean over prompts of per_group(K) times the sum over pairs of (R_beta - R_beta')^2 / (2 beta); a single against V(x)."""
    per_prompt = []
    for members in members_of(groups):
        if len(members) == 1:
            per_prompt.append((residual[members[0]] - values[members[0]]) ** 2 / (2 * BETA))
        else:
            pairs = sum((residual[i] - residual[j]) ** 2 / (2 * BETA) for i, j in combinations(members, 2))
            per_prompt.append(pairs * per_group(len(members)))
    return torch.stack(per_prompt).mean()


def leave_one_out(residual, groups, values):
    """R_beta minus the mean of the siblings' (V(x) for a single): what the gradient of each ln pi is weighted by."""
    weights = torch.zeros_like(residual)
    for members in members_of(groups):
        for i in members:
            siblings = [residual[j] for j in members if j != i]
            weights[i] = residual[i] - (torch.stack(siblings).mean() if siblings else values[i])
    return weights


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(11)
    model = load_model()
    tensors = {}

    sequences = [rng.integers(0, 260, n).tolist() for n in (1, 7, 24, 45)]
    with torch.no_grad():
        for i, tokens in enumerate(sequences):
            tensors[f"logits.{i}"] = logits_of(model, tokens)
    adapter = attach_adapter(model, rng)
    with torch.no_grad():
        for i, tokens in enumerate(sequences):
            tensors[f"adapted_logits.{i}"] = logits_of(model, tokens)

    # Rows of a group are not adjacent; lengths are ragged; one prompt has a single completion.
    groups = [0, 1, 0, 2, 1, 0, 3, 3]
    prompts = [rng.integers(0, 256, n).tolist() for n in (5, 12, 9, 1)]
    rows = [
        {"prompt_tokens": prompts[g], "completion_tokens": rng.integers(0, 256, n).tolist() + [256]}
        for g, n in zip(groups, (6, 1, 14, 9, 20, 3, 0, 11))
    ]
    rewards = rng.uniform(0, 1, len(rows)).tolist()
    values = rng.uniform(0, 1, len(rows)).tolist()
    set_scale(model, 0.0)
    with torch.no_grad():
        reference = torch.stack([log_probability(model, row) for row in rows])
    set_scale(model, SCALE)
    logprobs = torch.stack([log_probability(model, row) for row in rows])
    residual = torch.tensor(rewards) - BETA * (logprobs - reference)
    # 1/(K (K-1)) makes the gradient the mean over members of A K/(K-1) grad ln pi.
    copg_loss(residual, groups, values, lambda k: 1 / (k * (k - 1))).backward()
    # What is reported: the mean over pairs.
    loss = copg_loss(residual, groups, values, lambda k: 2 / (k * (k - 1)))

    tensors["copg.reference_logprobs"] = reference
    tensors["copg.logprobs"] = logprobs
    tensors["copg.weights"] = leave_one_out(residual, groups, values)
    for name, value in adapter.items():
        tensors[f"adapter.{name}"] = value
        tensors[f"gradient.{name}"] = value.grad
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, here / "tiny.safetensors")
    inputs = {
        "rank": RANK,
        "scale": SCALE,
        "sequences": sequences,
        "copg": {"beta": BETA, "groups": groups, "rewards": rewards, "values": values, "rows": rows, "loss": loss.item()},
    }
    (here / "tiny.json").write_text(json.dumps(inputs) + "\n")
    print(f"loss {loss.item():.6f}, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
