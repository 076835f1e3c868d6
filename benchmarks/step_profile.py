"""Where a training step's time goes on a CPU: drawing, forward, backward, optimiser, reading.

    python -m benchmarks.step_profile [--dataset randhie] [--rounds 15]

Every tier of `laptop`, one member on one thread of calls. Each part is what a program with it takes beyond one without,
measured in turn, round by round, in one process; the middle of the rounds' differences. Writes
results/step_profile.json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.demo_cases import demo_case
from benchmarks.measure import save
from vr.cascade.config import CascadeConfig, Execution
from vr.cascade.members import shares
from vr.cascade.step import advance, masked_loss
from vr.cascade.tier import Tier
from vr.cascade.train import _models
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def profiled(tier: Tier, rounds: int) -> dict[str, Any]:
    """Returns microseconds a step of each part of one member's training."""
    job, model, settings = tier._job(0, "reference", tier.reference), tier.model, tier.settings
    steps, drawn = settings.segment_steps, job.segment(0)
    data, state = jax.device_put(job.data), jax.device_put(job.start)
    batches, masks = jnp.asarray(drawn.batches), jnp.asarray(drawn.masks)
    adam = optax.scale_by_adam(b2=0.99)

    def loss(params: Any, rows: Any, masked: Any) -> Any:
        return masked_loss(model.apply, params, data.codes[:, rows], masked)

    def forward(params: Any) -> Any:
        # The loss joins the carry, or the compiler would drop or hoist what nobody reads.
        def body(carry: Any, each: Any) -> Any:
            return carry + 1e-20 * loss(carry, *each), None

        return jax.lax.scan(body, params, (batches, masks))[0]

    def backward(params: Any) -> Any:
        def body(carry: Any, each: Any) -> Any:
            return carry - 1e-20 * jax.grad(loss)(carry, *each), None

        return jax.lax.scan(body, params, (batches, masks))[0]

    def optimise(params: Any) -> Any:
        def body(carry: Any, each: Any) -> Any:
            now, moments = carry
            grads = jax.grad(loss)(now, *each)
            direction, moments = adam.update(grads / jnp.maximum(jnp.sqrt(jnp.sum(grads**2)), 1.0), moments)
            return (now - 1e-20 * direction, moments), None

        return jax.lax.scan(body, (params, state.moments), (batches, masks))[0][0]

    whole = jax.jit(lambda each, now: advance(model, settings, each, data, now))
    programs = {name: jax.jit(part) for name, part in {"f": forward, "b": backward, "o": optimise}.items()}
    ways: dict[str, Callable[[], Any]] = {name: (lambda run=run: run(state.params)) for name, run in programs.items()}
    ways |= {"w": lambda: whole(state, drawn), "d": lambda: job.segment(0)}
    reading = jax.jit(lambda params: masked_loss(model.apply, params, data.real, data.real_mask))
    ways["r"] = lambda: reading(state.params)
    for way in ways.values():
        jax.block_until_ready(way())
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            jax.block_until_ready(way())
            found[name].append((time.perf_counter() - begun) / steps * 1e6)
    parts = {
        "drawing": found["d"],
        "forward": found["f"],
        "backward": _less(found["b"], found["f"]),
        "optimiser": _less(found["o"], found["b"]),
        "average_and_masks": _less(_less(found["w"], found["o"]), found["r"]),
        "reading": found["r"],
    }
    middle = {name: round(statistics.median(values), 1) for name, values in parts.items()}
    total = statistics.median(np.add(found["d"], found["w"]))
    return {
        "tier": tier.tier.name,
        "parameters": model.parameters,
        "batch_rows": settings.batch_rows,
        "columns": masks.shape[1],
        "microseconds_a_step": round(float(total), 1),
        "parts": middle,
        "shares": {name: round(value / float(total), 3) for name, value in middle.items()},
    }


def _less(a: list[float], b: list[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def main() -> None:
    """Profiles every tier and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="randhie")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    case = demo_case(args.dataset)
    intake = take_in(open_source(case["fresh"]), open_source(case["reference"]), Config(), 2, lambda *step: None)
    assert intake.reference is not None
    pairs = intake.pair_columns
    reference, sizes = intake.reference.codes[:, pairs], intake.columns.num_codes[pairs]
    config = CascadeConfig(compilation_cache=False, execution=Execution.looped)
    share, models = shares(len(reference), len(intake.candidate.codes), config), _models(config, sizes)
    tiers = []
    with ThreadPoolExecutor(2) as pool:
        for each in config.tiers:
            tier = Tier(each, models[each.name], sizes, share, reference, config, 0, pool)
            # What compiles in the background would be measured too.
            for program in (tier.trainer.program, tier.judge, tier.products, tier.curvature):
                _ = program and program.compiled
            tiers.append(profiled(tier, args.rounds))
            print(tiers[-1], flush=True)
    save("step_profile", {"dataset": args.dataset, "tiers": tiers}, "python -m benchmarks.step_profile")


if __name__ == "__main__":
    # What a member takes when others train beside it: one thread, as the looped form runs on two cores.
    os.environ.setdefault("NPROC", "1")
    main()
