"""How long does a training step of each preset's tiers take on this device, and how near its peak is that?

    python -m benchmarks.accelerator.tiers --output FOLDER [--presets laptop,workstation,h100] [--within-s 150]

All members of a tier stacked, by the program that `vr` trains with, on a table of 32 columns with 64 codes each, as in
docs/cascade.md. A step's price does not depend on how many there are, so a few are run: two segments that count after
one that warms up. Operations are those of `vr.cascade.budget`, not what the compiler makes of them. What a whole tier
would take is calculated from that, and called so. Also timed: compiling (several programs at once), drawing batches and
masks on the processor (one thread, as `vr` did until it drew on all), and bringing them to the device. With `--trace`,
where the steps' time goes, from JAX's profiler.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.device import PEAK_FLOPS, Part, facts, most_bytes
from benchmarks.accelerator.kernels import traced_parts
from benchmarks.accelerator.tables import codes_of, jobs_of, model_of
from vr.cascade.budget import Budget, budgets
from vr.cascade.config import CURVE_POINTS, Execution, Network, Precision, TierConfig, preset
from vr.cascade.judge import judge
from vr.cascade.memory import need_of
from vr.cascade.mesh import placed, placement
from vr.cascade.programs import Program
from vr.cascade.step import Segment, TrainSettings
from vr.cascade.train import _inner_type
from vr.cascade.training import Job, Trainer
from vr.models.build import Model

_SEGMENT_S = 0.8  # that a timed segment should take, at a quarter of an H100's peak
_NETWORKS = {"laptop": ("mlp", "resonance"), "workstation": ("resonance", "mlp"), "h100": ("resonance",)}


@dataclass
class Case:
    """One tier of one preset with one network, its program under way to being compiled."""

    preset: str
    tier: TierConfig
    network: str
    budget: Budget
    trainer: Trainer
    job: Job
    judging: Program | None


def main() -> None:
    """Measures and writes tiers.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--presets", default="laptop,workstation,h100")
    parser.add_argument("--precision", default="auto", choices=[each.name for each in Precision])
    parser.add_argument("--columns", type=int, default=32)
    parser.add_argument("--codes", type=int, default=64)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--steps", type=int, default=0, help="of a segment; 0: by the operations of a step")
    parser.add_argument("--compilers", type=int, default=6)
    parser.add_argument("--within-s", type=float, default=1e9, help="no new tier begins after that long")
    parser.add_argument("--trace", default="", help="such as workstation/tier_2/resonance,laptop/tier_1/mlp")
    parser.add_argument("--judging", action="store_true", help="compile what judges a tier too, for its memory")
    parser.add_argument("--name", default="tiers")
    args = parser.parse_args()
    begun = time.perf_counter()
    part = Part(args.output, args.name)
    part.add(**facts(), columns=args.columns, codes=args.codes, peak_flops_a_second=PEAK_FLOPS)
    codes = codes_of(args.rows, args.columns, args.codes)
    wanted = [name for name in args.trace.split(",") if name]
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(args.compilers) as pool:
        for name in args.presets.split(","):
            cases = []
            for network in _NETWORKS.get(name, ("resonance",)):
                with part.guarded(f"{name}/{network}"):
                    judged = args.judging and network == preset(name).network.name
                    cases += cases_of(name, network, codes, Precision[args.precision], args.steps, judged, pool)
            # All are compiled before one is timed: the compiler tries kernels out on the device.
            for case in cases:
                with part.guarded(f"compiling {name_of(case)}"):
                    _ = case.trainer.program.compiled, case.judging and case.judging.compiled
            for case in sorted(cases, key=lambda case: case.budget.flops):
                if time.perf_counter() - begun > args.within_s:
                    part.add(left_out=[*part.document.get("left_out", []), name_of(case)])
                    continue
                with part.guarded(name_of(case)):
                    trace = args.output / "trace" if name_of(case) in wanted else None
                    rows.append(measured(case, trace))
                    part.add(tiers=rows)


def name_of(case: Case) -> str:
    """Returns preset, tier and network."""
    return f"{case.preset}/{case.tier.name}/{case.network}"


def cases_of(
    name: str,
    network: str,
    codes: np.ndarray,
    precision: Precision,
    steps: int,
    with_judging: bool,
    pool: ThreadPoolExecutor,
) -> list[Case]:
    """Returns a preset's tiers, their programs being compiled in the pool."""
    config = preset(name)
    config.network = Network[network]
    found = []
    for tier, budget in zip(config.tiers, budgets(config, codes.shape[1], int(codes.max()) + 1), strict=True):
        model = model_of(config, tier, codes, _inner_type(precision))
        # As many steps as take long enough to be timed, no more than the preset's segment has.
        fitting = int(_SEGMENT_S * PEAK_FLOPS / 4 / (budget.flops / tier.steps))
        count = steps or int(np.clip(fitting, 4, tier.steps // CURVE_POINTS))
        batch = min(tier.batch_rows, len(codes) // 2)
        settings = TrainSettings(count * CURVE_POINTS, batch, tier.micro_batches)
        job = jobs_of(model, codes, settings, tier.learning_rate, 1)[0]
        example = (job.start, job.data, job.segment(0))
        trainer = Trainer(model, settings, example, budget.models, Execution.stacked, pool)
        judging = judging_of(model, codes.shape[1], config.test_rows, budget.models, pool) if with_judging else None
        found.append(Case(name, tier, network, budget, trainer, job, judging))
    return found


def judging_of(model: Model, columns: int, rows: int, members: int, pool: ThreadPoolExecutor) -> Program:
    """Returns the program that judges a tier's members on so many rows, being compiled: for what memory it takes."""
    kinds = (
        ((model.parameters,), np.float32),
        ((columns, rows), np.int32),
        ((columns,), np.int32),
        ((columns, rows), bool),
    )
    example = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in kinds]
    return Program(lambda *x: judge(model, *x), example, members, Execution.stacked, pool)


def measured(case: Case, trace: Path | None, repeats: int = 2) -> dict[str, Any]:
    """Returns one tier's row."""
    trainer, members, tier = case.trainer, case.budget.models, case.tier
    # As in training: smaller parts of a batch where the program does not fit.
    trainer._fit()
    program, settings = trainer.program, trainer.settings
    assert trainer._mesh is not None
    of_state, of_data, of_segment = placement(trainer._mesh)
    steps = settings.segment_steps

    def all_members(tree: Any, sharding: Any) -> Any:
        whole = jax.jit(
            lambda tree: jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (members, *leaf.shape)), tree),
            out_shardings=sharding,
        )
        return whole(tree)

    begun = time.perf_counter()
    drawn = case.job.segment(1)
    drawing = (time.perf_counter() - begun) * members / steps
    stacked = Segment(*(np.ascontiguousarray(np.broadcast_to(leaf, (members, *leaf.shape))) for leaf in drawn))
    state, data = all_members(case.job.start, of_state), all_members(case.job.data, of_data)
    seconds, sending = [], []
    reading: Any = None
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        segment = jax.block_until_ready(placed(stacked, of_segment))
        sending.append((time.perf_counter() - begun) / steps)
        begun = time.perf_counter()
        state, reading = jax.block_until_ready(program(state, data, segment))
        seconds.append((time.perf_counter() - begun) / steps)
    step = float(np.median(seconds[1:]))
    need = need_of(program.compiled)
    row = {
        "preset": case.preset,
        "tier": tier.name,
        "network": case.network,
        "models": members,
        "parameters": trainer.model.parameters,
        "width": trainer.model.width,
        "batch_rows": settings.batch_rows,
        "micro_batches": settings.micro_batches,
        "steps_timed": repeats * steps,
        "all_finite": bool(np.isfinite(np.asarray(reading.loss)).all()),
        "step_ms": round(1e3 * step, 4),
        "step_ms_all": [round(1e3 * each, 4) for each in seconds],
        "rows_a_second": round(members * settings.batch_rows / step),
        "model_flops_a_second": round(case.budget.flops / tier.steps / step),
        "share_of_peak": round(case.budget.flops / tier.steps / step / PEAK_FLOPS, 4),
        "drawing_ms_a_step": round(1e3 * drawing, 4),
        "sending_ms_a_step": round(1e3 * float(np.median(sending[1:])), 4),
        "memory_foreseen_bytes": None if need is None else need.peak,
        "memory_most_bytes": most_bytes(),
        "steps": tier.steps,
        "training_calculated_s": round(step * tier.steps, 1),
        "drawing_calculated_s": round(drawing * tier.steps, 1),
    }
    if case.judging is not None:
        need = need_of(case.judging.compiled)
        row["judging_foreseen_bytes"] = None if need is None else need.peak
    if trace is not None:
        row["parts"] = traced_parts(
            lambda: program(state, data, segment), program.compiled, trace / name_of(case).replace("/", "-")
        )
    return row


if __name__ == "__main__":
    main()
