"""PyTorch's training step on a package's weights: one CoPG surrogate, LoRA by peft on all linear layers, AdamW, float32.

Speaks one line of JSON per message on standard input and output, like the peers in JavaScript:

    {"type": "open", "directory", "weights", "batch", "rank", "scale", "threads", "compile"}
        -> {"type": "opened", "about"}
    {"type": "check"}  -> {"type": "checked", "loss", "norm", "logprobs"}   (loss and gradient norm before any update)
    {"type": "step"}   -> {"type": "stepped", "ms", "peakRssMb"}
    anything that fails -> {"type": "failed", "message"}
"""

import json
import math
import resource
import sys
import time
import traceback

import numpy
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def matrix(rows, columns, scale=0.02):
    """The adapter that the learner's side starts from: the same numbers on both sides."""
    index = torch.arange(rows * columns, dtype=torch.float64)
    return (scale * torch.sin(index * 12.9898 + rows)).float().reshape(rows, columns)


def load_model(directory, weights):
    with open(f"{directory}/config.json") as file:
        fields = json.load(file)
    config = LlamaConfig(**{key: value for key, value in fields.items() if key not in ("architectures", "torch_dtype")})
    # What transformers names as fast on a CPU: the fused attention of PyTorch.
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.to_empty(device="cpu")
    state = {}
    for name, dims, path, offset, length in weights:
        tensor = torch.from_numpy(numpy.fromfile(path, numpy.float32, length // 4, offset=offset)).reshape(dims)
        # Packages hold linear weights as [in, out], PyTorch as [out, in].
        linear = len(dims) == 2 and ".layers." in name
        state[name] = tensor.t().contiguous() if linear else tensor
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if unexpected or [name for name in missing if name != "lm_head.weight"]:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    # Tables of rotary positions are not part of the weights.
    rotary = type(model.model.rotary_emb)(config)
    model.model.rotary_emb = rotary
    return model


def add_adapter(model, rank, scale):
    model = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=scale * rank, lora_dropout=0.0, target_modules=LINEARS, bias="none")
    )
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.data = matrix(parameter.shape[1], rank).t().contiguous()
        elif "lora_B" in name:
            parameter.data = matrix(rank, parameter.shape[0]).t().contiguous()
    return model


class Learner:
    def __init__(self, message):
        torch.set_num_threads(message["threads"])
        torch.manual_seed(1)
        batch = message["batch"]
        model = add_adapter(load_model(message["directory"], message["weights"]), message["rank"], message["scale"])
        model.train()
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        # All rows have the same lengths: nothing is padded and no mask is needed.
        self.prompt = len(batch["rows"][0]["promptTokens"])
        self.ids = torch.tensor([row["promptTokens"] + row["completionTokens"] for row in batch["rows"]])
        self.rewards = torch.tensor(batch["rewards"], dtype=torch.float32)
        self.reference = torch.tensor(batch["referenceLogprobs"], dtype=torch.float32)
        self.values = torch.tensor(batch["values"], dtype=torch.float32)
        self.beta = batch["beta"]
        base = model.get_base_model()

        def logprobs(ids):
            hidden = base.model(input_ids=ids, use_cache=False).last_hidden_state
            # Logits at the positions that predict a completion token, as on the learner's side.
            logits = base.lm_head(hidden[:, self.prompt - 1 : -1])
            targets = ids[:, self.prompt :]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            return -loss.reshape(targets.shape).sum(-1)

        self.logprobs = torch.compile(logprobs) if message["compile"] else logprobs

    def gradients(self):
        """Every completion is alone with its prompt: A = R - beta h - V(x), and the mean over prompts."""
        logprobs = self.logprobs(self.ids)
        with torch.no_grad():
            advantages = self.rewards - self.beta * (logprobs - self.reference) - self.values
        surrogate = -(advantages * logprobs).mean()
        self.optimizer.zero_grad(set_to_none=True)
        surrogate.backward()
        loss = (advantages.square().mean() / (2 * self.beta)).item()
        return loss, logprobs

    def check(self):
        loss, logprobs = self.gradients()
        norm = math.sqrt(sum(parameter.grad.double().square().sum().item() for parameter in self.trained))
        return {"type": "checked", "loss": loss, "norm": norm, "logprobs": logprobs.tolist()}

    def step(self):
        started = time.perf_counter()
        self.gradients()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0, foreach=True)
        self.optimizer.step()
        ms = 1000 * (time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
        return {"type": "stepped", "ms": ms, "peakRssMb": peak}


def main():
    learner = None
    for line in sys.stdin:
        try:
            message = json.loads(line)
            if message["type"] == "open":
                learner = Learner(message)
                compiled = ", torch.compile" if message["compile"] else ""
                reply = {"type": "opened", "about": f"PyTorch {torch.__version__}{compiled}"}
            elif message["type"] == "check":
                reply = learner.check()
            else:
                reply = learner.step()
        except Exception:
            reply = {"type": "failed", "message": traceback.format_exc(limit=4)}
        print(json.dumps(reply), flush=True)


main()
