"""Makes checkpoints/adapted.json: what PEFT computes with an adapter on each checkpoint of make_checkpoints.py.

Run from the repository's root: python test/oracles/make_adapted_checkpoints.py (that script's packages, and peft).

All linear layers except the head have an adapter, whose matrices are made from their names like all weights. Stored
are PEFT's module paths, logits at three positions, and the gradient of the sequence's log-probability: for each matrix
its product with numbers made from the name `gradient of <matrix>`.
"""

import json
import os

import numpy as np
import torch
from make_checkpoints import IDS, build, cases, folder, values
from peft import LoraConfig, get_peft_model

RANK, ALPHA = 2, 3
FIRST_TARGET = 6


def adapted(name):
    model, _ = build(name)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, config).eval()
    matrices = {}
    for key, parameter in model.named_parameters():
        if "lora_" not in key:
            continue
        module = key.removeprefix("base_model.model.").replace(".default.weight", "")
        matrix = values(module, parameter.numel()).reshape(tuple(parameter.shape)) * np.float32(0.25)
        parameter.data = torch.from_numpy(matrix)
        matrices[module] = parameter
    logits = model(torch.tensor([IDS])).logits[0]
    targets = torch.tensor(IDS[FIRST_TARGET:])
    logprobs = torch.log_softmax(logits[FIRST_TARGET - 1 : -1], -1)
    total = logprobs.gather(1, targets[:, None]).sum()
    total.backward()
    gradients = {}
    for module, parameter in matrices.items():
        probe = values("gradient of " + module, parameter.numel()).reshape(tuple(parameter.shape))
        gradients[module] = float(f"{float((parameter.grad.double().numpy() * probe).sum()):.6g}")
    rows = logits.detach().double().numpy()
    return {
        "logits": {str(t): [float(f"{v:.6g}") for v in rows[t]] for t in (4, 12, 25)},
        "logprob": float(f"{float(total.detach()):.8g}"),
        "gradients": gradients,
    }


made = {}
for name in cases:
    made[name] = adapted(name)
    print(name, made[name]["logprob"], len(made[name]["gradients"]))
with open(os.path.join(folder, "adapted.json"), "w") as file:
    file.write(json.dumps({"rank": RANK, "alpha": ALPHA, "firstTarget": FIRST_TARGET})[:-1] + ',\n"cases": {\n')
    file.write(",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in made.items()))
    file.write("\n}}\n")
