"""What PyTorch's autograd and optimizers compute for the losses and steps of `kld-train`.

    pip install torch transformers safetensors numpy
    python golden/train/generate.py

Writes beside this file:

- `losses.json`: for every loss, temperature and mix, the loss of a few rows of logits, of which one is masked out, and its
  gradient with respect to the student's logits, by autograd in f64;
- `sparse.json`: the same for a teacher of whom only the most likely tokens are known, the others being one outcome or none;
- `adamw.safetensors`, `sgd.safetensors`: the weights of the tiny Llama of `golden/models/llama` after a few steps in which the one
  of `golden/models/llama-scaled` teaches it, in f32, with clipping, penalties on matrices, and a warm-up; and `steps.json`, the
  windows, settings, losses and norms of the gradient of those steps;
- `lora.safetensors`: the same of low-rank adapters of some matrices, as they began (`first/...`) and after those steps (`last/...`);
- `gradients.json`: for each tiny model of `golden/models`, what every weight gets from a loss that is linear in the logits, in
  f64: the norm of its gradient, and the product of that with a fixed vector;
- `dropout.json`: the same in train mode with a fifth dropped wherever the family has dropout, but by SplitMix64 instead of
  PyTorch's generator.

The values are checked in; the tests need no Python.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.utils.parametrize
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
MODELS = HERE.parent / "models"


def kl(p, q):
    return torch.where(p > 0, p * (torch.log(p) - torch.log(q)), torch.zeros_like(p)).sum(-1)


def generalized_js(beta):
    def loss(p, q):
        m = beta * p + (1 - beta) * q
        return beta * kl(p, m) + (1 - beta) * kl(q, m)
    return loss


LOSSES = {
    "kl": kl,
    "reverse-kl": lambda p, q: kl(q, p),
    "jeffreys": lambda p, q: kl(p, q) + kl(q, p),
    "js": generalized_js(0.5),
    "js:0.2": generalized_js(0.2),
    "skew:0.1": lambda p, q: kl(p, 0.1 * p + 0.9 * q),
    "reverse-skew:0.1": lambda p, q: kl(q, 0.1 * q + 0.9 * p),
    "tv": lambda p, q: (p - q).abs().sum(-1) / 2,
}


def mixed(name, p_logits, q_logits, observed, temperature, squared, share):
    """The loss of every row."""
    p = torch.softmax(p_logits / temperature, -1)
    q = torch.softmax(q_logits / temperature, -1)
    scale = temperature**2 if squared else 1.0
    nll = torch.nn.functional.cross_entropy(q_logits, observed, reduction="none")
    return (1 - share) * scale * LOSSES[name](p, q) + share * nll


def losses():
    random = np.random.default_rng(1)
    rows, columns = 4, 11
    draw = lambda scale: torch.tensor(random.normal(0, scale, (rows, columns)).astype(np.float32), dtype=torch.float64)
    p_logits, q_logits = draw(2.0), draw(2.0)
    # A row that nearly agrees, as rows do at the end of training.
    q_logits[3] = (p_logits[3] + 1e-2 * q_logits[3]).float().double()
    observed = torch.tensor(random.integers(0, columns, rows))
    mask = torch.tensor([True, False, True, True])
    cases = []
    for name in LOSSES:
        for temperature, squared, share in [(1.0, True, 0.0), (2.0, True, 0.0), (2.0, False, 0.0), (1.0, True, 0.3), (0.5, True, 0.3)]:
            q = q_logits.clone().requires_grad_()
            per_row = mixed(name, p_logits, q, observed, temperature, squared, share)
            loss = per_row[mask].sum() / mask.sum()
            loss.backward()
            cases.append(dict(loss=name, temperature=temperature, temperature_squared=squared, cross_entropy_share=share,
                              value=loss.item(), gradient=q.grad.tolist()))
    data = dict(p=p_logits.tolist(), q=q_logits.tolist(), observed=observed.tolist(), mask=mask.tolist(), cases=cases)
    (HERE / "losses.json").write_text(json.dumps(data) + "\n")


def sparse():
    """A row of which the teacher's three most likely tokens are known, the rest as one outcome, or as nothing."""
    random = np.random.default_rng(3)
    columns, k, observed = 9, 3, 5
    draw = lambda: torch.tensor(random.normal(0, 2.0, columns).astype(np.float32), dtype=torch.float64)
    log_p, q_logits = torch.log_softmax(draw(), -1), draw()
    ids = torch.sort(torch.topk(log_p, k).indices).values
    rest = torch.ones(columns, dtype=torch.bool)
    rest[ids] = False
    log_probs = log_p[ids].float().double()
    log_tail = torch.logsumexp(log_p[rest], 0)
    cases = []
    for tail, temperature, share in [("lump", 1.0, 0.0), ("lump", 1.0, 0.3), ("renormalize", 1.0, 0.0), ("renormalize", 2.0, 0.3)]:
        for name in ["kl", "js:0.2", "skew:0.1", "reverse-skew:0.1", "tv"] + (["reverse-kl", "jeffreys"] if tail == "lump" else []):
            y = q_logits.clone().requires_grad_()
            q = torch.softmax(y / temperature, -1)
            few_q = torch.cat([q[ids], q[rest].sum()[None]])
            if tail == "lump":
                few_p = torch.softmax(torch.cat([log_probs, log_tail[None]]), -1)
            else:
                few_p = torch.cat([torch.softmax(log_probs / temperature, -1), torch.zeros(1, dtype=torch.float64)])
            nll = -torch.log_softmax(y, -1)[observed]
            loss = (1 - share) * temperature**2 * LOSSES[name](few_p, few_q) + share * nll
            loss.backward()
            cases.append(dict(loss=name, tail=tail, temperature=temperature, share=share, value=loss.item(), gradient=y.grad.tolist()))
    data = dict(q=q_logits.tolist(), ids=ids.tolist(), log_probs=log_probs.tolist(), log_tail=log_tail.item(), observed=observed, cases=cases)
    (HERE / "sparse.json").write_text(json.dumps(data) + "\n")


STEPS, BATCH, LENGTH, SCORED_FROM = 5, 3, 16, 6
RUNS = {
    "adamw": dict(loss="kl", temperature=2.0, share=0.3, rate=0.01, warmup=3, clip=0.5, l2=0.1, l1=0.0),
    "sgd": dict(loss="reverse-kl", temperature=1.0, share=0.0, rate=0.05, warmup=0, clip=1.0, l2=0.01, l1=0.001),
    "lora": dict(loss="kl", temperature=1.0, share=0.0, rate=0.02, warmup=0, clip=1.0, l2=0.05, l1=0.0,
                 lora="rank=3,alpha=4.5,targets=q_proj|down_proj"),
}


class LowRank(torch.nn.Module):
    """W + alpha / rank * B A."""

    def __init__(self, weight, rank, alpha, random):
        super().__init__()
        draw = lambda *shape: torch.nn.Parameter(torch.tensor(random.normal(0, 0.2, shape), dtype=torch.float32))
        rows, columns = weight.shape
        self.a, self.b, self.scale = draw(rank, columns), draw(rows, rank), alpha / rank

    def forward(self, weight):
        return weight + self.scale * self.b @ self.a


def adapt(student, lora):
    """Freezes all but new adapters; gives these by the names that PEFT has for them."""
    student.requires_grad_(False)
    random, factors = np.random.default_rng(4), {}
    lora = dict(part.split("=") for part in lora.split(","))
    chosen = [(name, module) for name, module in student.named_modules() if name.split(".")[-1] in lora["targets"].split("|")]
    for name, module in chosen:
        low_rank = LowRank(module.weight, int(lora["rank"]), float(lora["alpha"]), random)
        torch.nn.utils.parametrize.register_parametrization(module, "weight", low_rank)
        factors |= {f"{name}.lora_A.weight": low_rank.a, f"{name}.lora_B.weight": low_rank.b}
    return factors


def learning(student):
    return [weight for weight in student.parameters() if weight.requires_grad]


def load(name, dtype=torch.float32, **settings):
    return AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=dtype, attn_implementation="eager", **settings)


def groups(student, decay):
    weights = learning(student)
    return [dict(params=[w for w in weights if w.dim() > 1], weight_decay=decay),
            dict(params=[w for w in weights if w.dim() == 1], weight_decay=0.0)]


def optimizer(name, student, run):
    if name != "sgd":
        return torch.optim.AdamW(groups(student, run["l2"]), lr=run["rate"], betas=(0.9, 0.95), eps=1e-8)
    return torch.optim.SGD(groups(student, run["l2"]), lr=run["rate"], momentum=0.9)


def train(name, run, windows):
    student, teacher = load("llama").train(), load("llama-scaled").eval()
    factors = adapt(student, run["lora"]) if "lora" in run else {}
    first = {f"first/{k}": v.detach().clone() for k, v in factors.items()}
    rule = optimizer(name, student, run)
    told = []
    for step in range(STEPS):
        for group in rule.param_groups:
            group["lr"] = run["rate"] * min(1.0, (step + 1) / max(1, run["warmup"]))
        rule.zero_grad()
        total, counted = 0.0, BATCH * (LENGTH - 1 - SCORED_FROM)
        for window in windows[step * BATCH:(step + 1) * BATCH]:
            tokens = torch.tensor(window)[None]
            with torch.no_grad():
                p = teacher(tokens).logits[0, SCORED_FROM:-1]
            q = student(tokens).logits[0, SCORED_FROM:-1]
            observed = tokens[0, SCORED_FROM + 1:]
            loss = mixed(run["loss"], p, q, observed, run["temperature"], True, run["share"]).sum() / counted
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(learning(student), run["clip"]).item()
        # The penalty's gradient comes after clipping, as weight decay's does.
        for weight in learning(student):
            if weight.dim() > 1:
                weight.grad += run["l1"] * weight.detach().sign()
        rule.step()
        told.append(dict(loss=total, norm=norm))
    state = {k: v.clone().contiguous() for k, v in student.state_dict().items() if k != "lm_head.weight"}
    if factors:
        state = first | {f"last/{k}": v.detach().clone() for k, v in factors.items()}
    save_file(state, HERE / f"{name}.safetensors")
    return dict(run, steps=told)


FAMILIES = ["llama", "llama-scaled", "llama-linear", "mistral", "qwen2", "qwen3", "gpt2"]


def wave(count, period, half):
    """Whole numbers from -half to half, over half, that do not repeat as rows do."""
    k = torch.arange(count, dtype=torch.float64)
    return (k * 7 % period - half) / half


def splitmix(seed, index):
    """The number at a place in the sequence that SplitMix64 makes of a seed."""
    np.seterr(over="ignore")
    x = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * (np.asarray(index, np.uint64) + np.uint64(1))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def dropping(key, places):
    """What stands for `torch.nn.functional.dropout`: one place after the other, each with a seed of its own."""
    def dropout(x, p, training, inplace=False):
        numbers = splitmix(splitmix(key, next(places)), np.arange(x.numel()))
        kept = torch.from_numpy(numbers >= np.uint64(int(p * 2**64))).reshape(x.shape)
        return x * kept / (1 - p)
    return dropout


DROPOUT, KEY = 0.2, 7
GPT2_PLACES = ["embd_pdrop", "attn_pdrop", "resid_pdrop"]


def with_dropout(name):
    """A model in train mode; a layer has three places, and Llama and its kin drop at the first alone."""
    names, places = (GPT2_PLACES, itertools.count()) if name == "gpt2" else (["attention_dropout"], itertools.count(1, 3))
    torch.nn.functional.dropout = dropping(KEY, places)
    return load(name, torch.float64, **{name: DROPOUT for name in names}).train()


def gradients(file, model_of):
    told = {}
    for name in FAMILIES:
        tokens = torch.tensor(json.loads((MODELS / name / "expected.json").read_text())["tokens"])[None]
        model = model_of(name)
        logits = model(tokens).logits[0]
        (logits.flatten() * wave(logits.numel(), 13, 6)).sum().backward()
        found = {}
        for weight, value in model.named_parameters():
            grad = value.grad.flatten()
            direction = wave(grad.numel(), 11, 5)
            found[weight] = [grad.norm().item(), (grad @ direction).item(), direction.norm().item()]
        told[name] = found
    (HERE / file).write_text(json.dumps(told, indent=0) + "\n")


def main():
    torch.set_num_threads(1)
    losses()
    sparse()
    gradients("gradients.json", lambda name: load(name, torch.float64))
    random = np.random.default_rng(2)
    windows = random.integers(0, 96, (STEPS * BATCH, LENGTH)).tolist()
    runs = {name: train(name, run, windows) for name, run in RUNS.items()}
    data = dict(windows=windows, batch=BATCH, scored_from=SCORED_FROM, runs=runs)
    (HERE / "steps.json").write_text(json.dumps(data) + "\n")
    # Last, as it replaces PyTorch's dropout.
    gradients("dropout.json", with_dropout)


if __name__ == "__main__":
    main()
