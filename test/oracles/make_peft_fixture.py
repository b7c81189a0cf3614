"""Makes peft/ and peft.safetensors: adapters of Hone and of Hugging Face PEFT on test/fixtures/tiny, and their logits.

    npm run build && node dist/test/oracles/make-exported.js
    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers peft safetensors onnx numpy
    /tmp/oracle/bin/python test/oracles/make_peft_fixture.py

peft/exported is an adapter that Hone wrote (make-exported.ts); PeftModel.from_pretrained loads it. peft/named and
peft/bfloat16 are made and saved by PEFT: the first targets some layers by the ends of their names, the second all of
them, in bfloat16. The logits are of the sequences in tiny.json.
"""

import json
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from make_fixture import here, load_model, logits_of

CONFIGS = {
    "named": LoraConfig(r=5, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"),
    "bfloat16": LoraConfig(r=2, lora_alpha=3, target_modules="all-linear", lora_dropout=0.1, task_type="CAUSAL_LM"),
}


def logits_by_name(model, name, sequences):
    with torch.no_grad():
        return {f"{name}.{i}": logits_of(model, tokens).contiguous() for i, tokens in enumerate(sequences)}


def randomise(model, rng, dtype):
    """PEFT begins with B = 0, which computes nothing."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            scale = parameter.shape[1] ** -0.5 if "lora_A" in name else 0.1
            values = torch.tensor(rng.normal(0, scale, tuple(parameter.shape)), dtype=torch.float32)
            parameter.data = values.to(dtype)


def save(model, name):
    folder = here / "peft" / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    # Sets have no order, and the path of the model is that of this machine.
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    config["base_model_name_or_path"] = "tiny"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(12)
    sequences = json.loads((here / "tiny.json").read_text())["sequences"]
    exported = PeftModel.from_pretrained(load_model(), here / "peft" / "exported").eval()
    tensors = logits_by_name(exported, "exported", sequences)
    for name, config in CONFIGS.items():
        model = get_peft_model(load_model(), config).eval()
        dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
        randomise(model, rng, dtype)
        save(model, name)
        # Loaded anew: what was saved is what answers, computed in float32.
        loaded = PeftModel.from_pretrained(load_model(), here / "peft" / name, autocast_adapter_dtype=True).eval()
        tensors |= logits_by_name(loaded.float(), name, sequences)
    save_file(tensors, here / "peft.safetensors")
    print(f"{len(tensors)} tensors")


if __name__ == "__main__":
    main()
