"""How fast does the cascade train, against a plain PyTorch loop over the same models?

    python -m benchmarks.cascade_throughput [--dataset randhie] [--repeats 3] [--steps-share 1.0] [--device cpu|cuda]

The `laptop` preset's 18 seeds, both arms: the same first weights, rows, batches, hidden cells, steps and recipe, looped
and stacked in JAX, and one model after the other in PyTorch, as somebody would write it by hand (`pip install torch`),
on the number of threads at which its first model is fastest. In turn, in one process, round by round; what is compared
is the ratio within a round. Compiling is timed apart. Also says how many rows and floating-point operations a second
that is, as a share of what this machine's own matrix product reaches, whether all reach the same loss, and how busy a
GPU and its tensor cores were, as `device_use.py` reads their counters. Writes results/cascade_throughput.json, or
throughput.json into the folder given by `--output`. With `--device cuda` PyTorch trains on the GPU that JAX is on.
"""

import argparse
import copy
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.demo_cases import demo_case
from benchmarks.device_use import DeviceUse
from benchmarks.measure import save
from vr.cascade.config import CascadeConfig, Execution, TierConfig
from vr.cascade.members import shares
from vr.cascade.step import AVERAGED_SHARE
from vr.cascade.tier import Tier, arms_of
from vr.cascade.train import _models
from vr.cascade.training import Job
from vr.data.source import open_source
from vr.models.build import mlp_parameters
from vr.models.mlp import MaskedMlp
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def jobs_of(tier: Tier, candidate: np.ndarray) -> list[Job]:
    """Returns what the tier trains, seed by seed, both arms."""
    members = range(tier.tier.seeds)
    return [tier._job(member, arm, tier._drawn(candidate, member)) for member in members for arm in arms_of(tier.tier)]


def torch_losses(tier: Tier, jobs: list[Job], num_codes: int, device: str = "cpu") -> list[float]:
    """Trains the same models in PyTorch, one after the other, on a device; returns their last held-out losses."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    d, depth, settings = len(tier.num_codes), tier.tier.depth, tier.settings
    channels, hidden = _shape(tier, num_codes), tier.model.width

    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Embedding(d * num_codes, channels)
            self.column = nn.Parameter(torch.empty(d, channels))
            self.mask = nn.Parameter(torch.empty(channels))
            self.into = nn.Linear(d * channels, hidden, bias=False)
            self.norms = nn.ModuleList([nn.RMSNorm(hidden, eps=1e-6) for _ in range(depth + 1)])
            self.ups = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(depth)])
            self.downs = nn.ModuleList([nn.Linear(hidden, hidden, bias=False) for _ in range(depth)])
            self.head = nn.Linear(hidden, d * num_codes)
            self.register_buffer("offset", num_codes * torch.arange(d))

        def forward(self, codes: Any, masked: Any) -> Any:
            """Logits `[B, d, K]` for codes `[B, d]`."""
            cells = self.value(codes + self.offset) * ~masked[..., None]
            cells = cells + self.column + masked[..., None] * self.mask
            x = self.into(cells.flatten(1))
            for norm, up, down in zip(self.norms, self.ups, self.downs, strict=False):
                x = x + down(F.silu(up(norm(x))))
            return self.head(self.norms[-1](x)).view(len(codes), d, num_codes)

    def loss_of(model: Mlp, codes: Any, masked: Any) -> Any:
        losses = F.cross_entropy(model(codes, masked).transpose(1, 2), codes, reduction="none") * masked
        return (losses.sum(1) / masked.sum(1)).mean()

    def parameters_of(model: Mlp) -> list[Any]:
        """In the order of `_weights`."""
        return [
            *(down.weight for down in model.downs),
            model.column,
            model.mask,
            model.value.weight,
            model.head.bias,
            model.head.weight,
            model.into.weight,
            *(norm.weight for norm in model.norms),
            *(up.bias for up in model.ups),
            *(up.weight for up in model.ups),
        ]

    decay = 1.0 - 2.0 / max(2.0, AVERAGED_SHARE * settings.steps)
    ended = []
    for job in jobs:
        model = Mlp()
        with torch.no_grad():
            for parameter, value in zip(parameters_of(model), _weights(tier, job, num_codes), strict=True):
                parameter.copy_(torch.from_numpy(value.copy()).reshape(parameter.shape))
        model.to(device)
        averaged = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=float(job.start.peak), betas=(0.9, 0.99), weight_decay=1e-2
        )
        warm = max(1, settings.steps // 10)

        def rate(step: int, warm: int = warm) -> float:
            if step < warm:
                return step / warm
            return 0.5 * (1 + np.cos(np.pi * (step - warm) / (settings.steps - warm)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        rows = torch.from_numpy(job.data.codes.T.astype(np.int64)).to(device)
        real = torch.from_numpy(job.data.real.T.astype(np.int64)).to(device)
        hidden_cells = torch.from_numpy(job.data.real_mask.T.copy()).to(device)
        step, last = 0, float("nan")
        for segment in range(settings.steps // settings.segment_steps):
            drawn = job.segment(segment)
            batches, masks = (torch.from_numpy(drawn_each).to(device) for drawn_each in drawn)
            for batch, masked in zip(batches, masks, strict=True):
                optimizer.zero_grad(set_to_none=True)
                loss_of(model, rows[batch.long()], masked.T).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                kept = min(decay, step / (step + 1.0))
                with torch.no_grad():
                    torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - kept)
                step += 1
            with torch.no_grad():
                last = float(loss_of(averaged, real, hidden_cells))
        ended.append(last)
    return ended


def _shape(tier: Tier, num_codes: int) -> int:
    """Returns the channels of a cell with which the tier's network has its parameters."""
    d, hidden, depth = len(tier.num_codes), tier.model.width, tier.tier.depth
    wanted = tier.model.parameters
    return next(c for c in range(1, 65) if mlp_parameters(d, num_codes, c, hidden, depth) == wanted)


def _weights(tier: Tier, job: Job, num_codes: int) -> list[np.ndarray]:
    """Returns the weights that a job starts from, those of dense layers as PyTorch has them, outputs first."""
    d = len(tier.num_codes)
    channels, hidden = _shape(tier, num_codes), tier.model.width
    blank = MaskedMlp(d, num_codes, channels, hidden, tier.tier.depth, draw=lambda shape, std: np.zeros(shape))
    leaves = jax.tree.flatten_with_path(nnx.state(blank))[0]
    ends = np.cumsum([leaf.size for _, leaf in leaves])[:-1]
    found = []
    for (path, leaf), flat in zip(leaves, np.split(np.asarray(job.start.params), ends), strict=True):
        value, name = flat.reshape(leaf.shape), path[0].key
        if name in ("norms", "up_biases"):
            found += list(value)
        else:
            is_dense = name in ("into", "ups", "downs") or getattr(path[1], "key", None) == "kernel"
            found.append(np.swapaxes(value, -1, -2) if is_dense else value)
    return found


def matmul_rate() -> float:
    """Returns floating-point operations a second of this device's float32 matrix product, 2048 x 2048."""
    x = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(x).block_until_ready()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        product(x).block_until_ready()
        seconds.append(time.perf_counter() - begun)
    return 2 * 2048**3 / min(seconds)


def timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Returns the seconds of a call and what it gave."""
    begun = time.perf_counter()
    found = run()
    return time.perf_counter() - begun, found


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="randhie")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps-share", type=float, default=1.0, help="of every tier's steps, for a quick look")
    parser.add_argument("--device", default="cpu", help="of PyTorch: cpu or cuda")
    parser.add_argument("--output", type=Path, help="a folder to write throughput.json into")
    args = parser.parse_args()
    case = demo_case(args.dataset)
    intake = take_in(open_source(case["fresh"]), open_source(case["reference"]), Config(), 2, lambda *step: None)
    assert intake.reference is not None
    pairs = intake.pair_columns
    reference, candidate = intake.reference.codes[:, pairs], intake.candidate.codes[:, pairs]
    sizes = intake.columns.num_codes[pairs]
    config = CascadeConfig(compilation_cache=False)
    config.tiers = [_plain(tier, args.steps_share) for tier in config.tiers]
    share, models = shares(len(reference), len(candidate), config), _models(config, sizes)
    rate = matmul_rate()
    tiers: list[dict[str, Any]] = []
    with ThreadPoolExecutor(2) as pool:
        for each in config.tiers:

            def made(form: Execution, each: TierConfig = each) -> Tier:
                chosen = replace(config, execution=form)
                return Tier(each, models[each.name], sizes, share, reference, chosen, 0, pool)

            tiers.append(measured(made, candidate, args.repeats, rate, args.device))
            print(tiers[-1], flush=True)
    whole = {
        name: [round(sum(tier["seconds"][name][i] for tier in tiers), 3) for i in range(args.repeats)]
        for name in ("looped", "stacked", "torch")
    }
    result = {
        "dataset": args.dataset,
        "device": jax.devices()[0].device_kind,
        "torch_device": args.device,
        "steps_share": args.steps_share,
        "models": sum(tier["models"] for tier in tiers),
        "train_rows": share.train,
        "matrix_product_flops_a_second": round(rate),
        "tiers": tiers,
        "seconds": whole,
        "torch_over_looped": _ratio(whole["torch"], whole["looped"]),
        "torch_over_stacked": _ratio(whole["torch"], whole["stacked"]),
    }
    print({key: result[key] for key in ("seconds", "torch_over_looped", "torch_over_stacked")})
    command = shlex.join(["python", "-m", "benchmarks.cascade_throughput", *sys.argv[1:]])
    if args.output is None:
        save("cascade_throughput", result, command)
    else:
        save("throughput", result, command, args.output)


def measured(
    made: Callable[[Execution], Tier], candidate: np.ndarray, repeats: int, rate: float, device: str
) -> dict[str, Any]:
    """Returns one tier's row: every way of training its models, in turn."""
    compiling, tiers = {}, {}
    for form in (Execution.looped, Execution.stacked):
        begun = time.perf_counter()
        tiers[form.name] = made(form)
        _ = tiers[form.name].trainer.program.compiled
        compiling[form.name] = round(time.perf_counter() - begun, 2)
    looped = tiers["looped"]
    jobs = jobs_of(looped, candidate)

    def train(tier: Tier) -> list[float]:
        return [float(outputs.curve[-1]) for outputs in tier.trainer.run(jobs, looped.config.threads)]

    num_codes = int(looped.num_codes.max())
    threads = _fastest_threads(lambda: torch_losses(looped, jobs[:1], num_codes, device))
    ways: dict[str, Callable[[], list[float]]] = {
        "looped": lambda: train(looped),
        "stacked": lambda: train(tiers["stacked"]),
        "torch": lambda: torch_losses(looped, jobs, num_codes, device),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, float] = {}
    use: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            with DeviceUse() as counters:
                took, found = timed(way)
            use[name] = counters.summary()
            seconds[name].append(round(took, 3))
            losses[name] = round(float(np.mean(found)), 5)
    return _row(looped, jobs, compiling, seconds, losses, rate) | {"torch_threads": threads, "device_use": use}


def _fastest_threads(run: Callable[[], Any]) -> int:
    """Sets PyTorch to the number of threads, one or all, at which `run` takes least, and returns it."""
    import torch

    taken = {}
    for threads in sorted({1, os.cpu_count() or 1}) * 2:
        torch.set_num_threads(threads)
        taken[threads] = min(timed(run)[0], taken.get(threads, float("inf")))
    best = min(taken, key=lambda threads: taken[threads])
    torch.set_num_threads(best)
    return best


def _plain(tier: TierConfig, steps_share: float) -> TierConfig:
    """Returns a tier with two arms and nothing else."""
    steps = max(20, int(tier.steps * steps_share) // 20 * 20)
    return replace(tier, steps=steps, null_arm=False, gradients=False, curvature=False, half_arms=False)


def _row(
    tier: Tier,
    jobs: list[Job],
    compiling: dict[str, float],
    seconds: dict[str, list[float]],
    losses: dict[str, float],
    rate: float,
) -> dict[str, Any]:
    config = tier.tier
    steps = len(jobs) * config.steps
    # Three passes over the dense layers for each row: forward, and two backward.
    d, k = len(tier.num_codes), int(tier.num_codes.max())
    channels, hidden = _shape(tier, k), tier.model.width
    dense = d * channels * hidden + 2 * config.depth * hidden**2 + hidden * d * k
    flops = 6 * dense * tier.settings.batch_rows * steps
    rows = steps * tier.settings.batch_rows
    return {
        "tier": config.name,
        "models": len(jobs),
        "parameters": tier.model.parameters,
        "steps": config.steps,
        "compiling_s": compiling,
        "seconds": seconds,
        "rows_a_second": {name: round(rows / statistics.median(each)) for name, each in seconds.items()},
        "share_of_matrix_product": {
            name: round(flops / statistics.median(each) / rate, 4) for name, each in seconds.items()
        },
        "torch_over_looped": _ratio(seconds["torch"], seconds["looped"]),
        "loss": losses,
    }


def _ratio(a: list[float], b: list[float]) -> dict[str, float]:
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    return {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


if __name__ == "__main__":
    main()
