"""How long does a training step of each preset's tiers take on this device, and how near its peak is that?

    python -m benchmarks.accelerator.tiers --output FOLDER [--presets laptop,workstation,h100] [--within-s 150]

All members of a tier stacked, by the program that `vr` trains with, on a table of 32 columns with 64 codes each, as
in docs/cascade.md. A step's price does not depend on how many there are, so a few are run: two segments that count
after one that warms up. Operations are those of `vr.cascade.budget`, not what the compiler makes of them. What a
whole tier would take is calculated from that, and called so. Also timed: compiling (several programs at once),
drawing batches and masks on the processor (one thread, as `vr` did until it drew on all), and bringing them to the
device; with `--judging`, judging all members on as many rows as the preset has, once. With `--trace`, where the
steps' time goes, from JAX's profiler. The network `resonance_by_spectrum` is the resonance network in the form of a
processor, which accelerators trained until they had one of their own.
"""

import argparse
import time
from collections.abc import Collection
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
BY_SPECTRUM = "resonance_by_spectrum"
_NETWORKS = {
    "laptop": ("mlp", "resonance"),
    "workstation": ("resonance", BY_SPECTRUM, "mlp"),
    "h100": ("resonance",),
}


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
    judged_rows: int


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
    parser.add_argument(
        "--only", default="", help="these tiers, in this order: workstation/tier_3/mlp,laptop/tier_1/mlp"
    )
    parser.add_argument("--trace", default="", help="such as workstation/tier_2/resonance,laptop/tier_1/mlp")
    parser.add_argument("--judging", action="store_true", help="judge a tier too")
    parser.add_argument("--judged-rows", type=int, default=0, help="0: as many as the preset has")
    parser.add_argument("--name", default="tiers")
    args = parser.parse_args()
    begun = time.perf_counter()
    part = Part(args.output, args.name)
    part.add(**facts(), columns=args.columns, codes=args.codes, peak_flops_a_second=PEAK_FLOPS)
    codes = codes_of(args.rows, args.columns, args.codes)
    traced, only = (list(filter(None, names.split(","))) for names in (args.trace, args.only))
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(args.compilers) as pool:
        cases: list[Case] = []
        for name in args.presets.split(","):
            for network in _NETWORKS.get(name, ("resonance",)):
                with part.guarded(f"{name}/{network}"):
                    judged = args.judging and network == preset(name).network.name
                    judged = (args.judged_rows or preset(name).test_rows) * judged
                    cases += cases_of(name, network, codes, Precision[args.precision], args.steps, judged, pool, only)
        # All are compiled before one is timed: the compiler tries kernels out on the device.
        for case in cases:
            with part.guarded(f"compiling {name_of(case)}"):
                _ = case.trainer.program.compiled
            with part.guarded(f"judging {name_of(case)}"):
                _ = case.judging and case.judging.compiled
        part.add(compiled_s=round(time.perf_counter() - begun, 1))
        cases.sort(key=lambda case: only.index(name_of(case)) if only else case.budget.flops)
        for case in cases:
            if time.perf_counter() - begun > args.within_s:
                part.add(left_out=[*part.document.get("left_out", []), name_of(case)])
                continue
            with part.guarded(name_of(case)):
                trace = args.output / "trace" if name_of(case) in traced else None
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
    judged_rows: int,
    pool: ThreadPoolExecutor,
    only: Collection[str] = (),
) -> list[Case]:
    """Returns a preset's tiers, or those named in `only`, their programs being compiled in the pool."""
    config = preset(name)
    config.network = Network.resonance if network == BY_SPECTRUM else Network[network]
    found = []
    for tier, budget in zip(config.tiers, budgets(config, codes.shape[1], int(codes.max()) + 1), strict=True):
        if only and f"{name}/{tier.name}/{network}" not in only:
            continue
        kind, is_first = _inner_type(precision), network != BY_SPECTRUM
        model = model_of(config, tier, codes, kind, channels_first=is_first)
        # As many steps as take long enough to be timed, no more than the preset's segment has.
        fitting = int(_SEGMENT_S * PEAK_FLOPS / 4 / (budget.flops / tier.steps))
        count = steps or int(np.clip(fitting, 4, tier.steps // CURVE_POINTS))
        batch = min(tier.batch_rows, len(codes) // 2)
        settings = TrainSettings(count * CURVE_POINTS, batch, tier.micro_batches)
        job = jobs_of(model, codes, settings, tier.learning_rate, 1)[0]
        example = (job.start, job.data, job.segment(0))
        trainer = Trainer(model, settings, example, budget.models, Execution.stacked, pool)
        judging = judging_of(model, codes.shape[1], judged_rows, budget.models, pool) if judged_rows else None
        found.append(Case(name, tier, network, budget, trainer, job, judging, judged_rows))
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
    return Program(judge, (model,), example, members, Execution.stacked, pool)


def judged_seconds(case: Case) -> float:
    """Returns the seconds that judging all members on rows of random codes takes, at the first call."""
    assert case.judging is not None
    members, columns = case.budget.models, len(case.job.data.codes)
    rng = np.random.default_rng(0)
    codes = rng.choice(case.job.data.codes[0], (members, columns, case.judged_rows)).astype(np.int32)
    half = rng.random(codes.shape) < 0.5
    half[:, 0] = True
    positions = np.broadcast_to(np.arange(columns, dtype=np.int32), (members, columns))
    params = jnp.broadcast_to(jnp.asarray(case.job.start.params)[None], (members, case.trainer.model.parameters))
    given = jax.block_until_ready((params, *map(jnp.asarray, (codes, positions, half))))
    begun = time.perf_counter()
    jax.block_until_ready(case.judging(*given))
    return time.perf_counter() - begun


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

    case.job.segment(0)
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
        try:
            need = need_of(case.judging.compiled)
            row["judging_foreseen_bytes"] = None if need is None else need.peak
            row |= {"judging_rows": case.judged_rows, "judging_s": round(judged_seconds(case), 3)}
        except Exception as error:  # noqa: BLE001 - the compiler may refuse what does not fit
            row["judging_refused"] = " ".join(str(error).split())[:300]
    if trace is not None:
        row["parts"] = traced_parts(
            lambda: program(state, data, segment), program.compiled, trace / name_of(case).replace("/", "-")
        )
    return row


if __name__ == "__main__":
    main()
