"""Trains the cascade: tiers of members, each member on the candidate and on the reference with one seed."""

import hashlib
import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vr.cascade import compilation_cache, hosts
from vr.cascade.agreement import by_first, told_by_first
from vr.cascade.config import CURVE_POINTS, CascadeConfig, Execution, Network, Precision, Remat
from vr.cascade.keeping import kept_in
from vr.cascade.members import shares
from vr.cascade.memory import in_use
from vr.cascade.networks import Networks
from vr.cascade.programs import chosen_form
from vr.cascade.progress import Advance, Meter, Progress
from vr.cascade.result import NO_NULL, CascadeResult, ModelResult, Reading, TierResult
from vr.cascade.scaling import extrapolate
from vr.cascade.tier import Tier, arms_of
from vr.core.rng import generator
from vr.models import build

__all__ = ["Progress", "run_cascade"]

_MOST_COMPILERS = 8
_OF_LARGEST = ("skill_lost", "skill_lost_rare")


def run_cascade(
    reference_codes: np.ndarray,
    candidate_codes: np.ndarray,
    num_codes: Sequence[int],
    config: CascadeConfig,
    seed: int,
    *,
    progress: Callable[[Progress], None] | None = None,
    on_segment: Callable[[], None] = lambda: None,
    saved: MutableMapping[str, dict] | None = None,
    prepared: MutableMapping[str, Tier] | None = None,
    checkpoints: Path | None = None,
    keep_networks: bool = False,
) -> CascadeResult:
    """Trains all tiers and returns what they say.

    Args:
      reference_codes: Unsigned `[n, d]`.
      candidate_codes: Unsigned `[m, d]`.
      num_codes: Codes of each column `[d]`.
      config: Tiers, rows, execution; at least one tier.
      seed: Of all draws.
      progress: Told how far it is, at most every `config.progress_seconds`, from any thread, but one event at a time.
      on_segment: Called where a training begins and after each of its segments, but those of a learning-rate test, from
        any thread; what it raises ends the training. Not for one of several processes, whose peers would wait for it.
      saved: Finished tiers by name; a tier found here is not trained again, one trained is stored.
      prepared: Tiers made for this reference, by name and size: whoever asks about several candidates passes one
        mapping, and the real arms are trained once. It must not be shared between references, seeds or configurations.
      checkpoints: Folder where tiers under way are kept, every `config.checkpoint_seconds`, and found again. It must
        not be shared between datasets, seeds or configurations.
      keep_networks: Whether the result has the smallest tier's networks; what is in `saved` has them where it was asked
        for then.

    Several processes (`vr.cascade.hosts`) call it with the same arguments and get the same result. `saved` and
    `checkpoints` are those of process 0: what is there it tells the others.

    Raises:
      DataError: with too few rows.
      DivergedError: where over half of a tier's members diverged.
    """
    if config.compilation_cache:
        compilation_cache.enable()
    sizes = np.asarray(num_codes)
    identity = hashlib.sha256(repr((config, seed, list(num_codes))).encode()).hexdigest()
    share = shares(len(reference_codes), len(candidate_codes), config)
    total = sum(tier.seeds * len(arms_of(tier)) for tier in config.tiers)
    meter = Meter(progress or (lambda step: None), total, config.progress_seconds, in_use)
    store: MutableMapping[str, dict] = {} if saved is None else saved

    def advanced(advance: Advance) -> None:
        meter.advanced(advance)
        on_segment()

    known = told_by_first(lambda: {tier.name: store[tier.name] for tier in config.tiers if tier.name in store})
    if not hosts.is_first():
        store.update(known)
    models = _models(config, sizes)
    smallest = min(config.tiers, key=lambda tier: models[tier.name].parameters)
    ready: MutableMapping[str, Tier] = {} if prepared is None else prepared
    with _compiling(config.threads) as pool:
        # All tiers compile from the start on, so that a later one is ready when its turn comes.
        tiers = {}
        for tier in config.tiers:
            key = f"{tier.name}-{share.train}-{share.test}"
            if tier.name not in store and key not in ready:
                ready[key] = Tier(tier, models[tier.name], sizes, share, reference_codes, config, seed, pool)
            tiers[tier.name] = ready.get(key)
        for tier in config.tiers:
            name, made = tier.name, tiers.pop(tier.name)
            rows = 0 if made is None else made.settings.batch_rows
            meter.begin(name, tier.seeds * len(arms_of(tier)), tier.steps, rows, CURVE_POINTS)
            if made is not None and name not in store:
                folder = None if checkpoints is None else checkpoints / name
                with kept_in(folder, identity, config.checkpoint_seconds) as keeper:
                    told = meter.trained, keeper, advanced
                    document = made.run(candidate_codes, *told, keep_networks=keep_networks and tier is smallest)
                    _store(store, name, document)
            meter.end({f"cascade/{name}": _mean_curves(store[name]["models"])})
    result = _assemble([store[tier.name] for tier in config.tiers], config, seed)
    if keep_networks and (document := store[smallest.name].get("networks")):
        model, name = models[smallest.name], smallest.name
        networks = Networks.of(document, model, share, name, reference_codes, candidate_codes, seed)
        result = replace(result, networks=networks)
    return result


@contextmanager
def _compiling(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that begins nothing more once the block has failed; of several processes, none waits for what it began."""
    # One that compiles for an accelerator waits for it in part, so that there may be more; memory asks for a limit.
    more = 0 if jax.default_backend() == "cpu" else min(_MOST_COMPILERS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(max(threads, more))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=not hosts.several(), cancel_futures=True)
        raise
    pool.shutdown()


def _store(store: MutableMapping[str, dict], name: str, document: dict[str, Any]) -> None:
    """Stores a finished tier, first where it is for good: what fails there fails on every process."""
    by_first(lambda: store.__setitem__(name, document))
    if not hosts.is_first():
        store[name] = document


def _models(config: CascadeConfig, num_codes: np.ndarray) -> dict[str, build.Model]:
    """Returns each tier's network; a tier with `growth` is sized by the one before it."""
    d, k = len(num_codes), int(num_codes.max())
    options = {"dtype": _inner_type(config.precision), "remat": config.remat is Remat.always}
    stacked = chosen_form(config.execution) is Execution.stacked
    models: dict[str, build.Model] = {}
    parameters = 0
    for tier in config.tiers:
        width = tier.width_on(d, k, parameters, config.heads)
        parameters = build.resonance_parameters(d, k, width, tier.depth, config.heads)
        # The control has the resonance network's parameters, whatever width that takes.
        model = (
            build.mlp(d, k, parameters, tier.depth, **options)
            if config.network is Network.mlp
            else build.resonance(d, k, width, tier.depth, heads=config.heads, channels_first=stacked, **options)
        )
        models[tier.name] = replace(model, lean=None) if config.remat is Remat.never else model
    return models


def _inner_type(precision: Precision) -> Any:
    import jax

    if precision is Precision.auto:
        precision = Precision.float32 if jax.default_backend() == "cpu" else Precision.bfloat16
    return np.dtype("float32") if precision is Precision.float32 else jax.numpy.bfloat16


def _mean_curves(models: list[dict[str, Any]]) -> dict[str, list[float]]:
    curves: dict[str, list[list[float]]] = {}
    for model in models:
        if None not in model["loss_curve"]["loss"]:
            curves.setdefault(model["arm"], []).append(model["loss_curve"]["loss"])
    return {arm: np.mean(each, axis=0).round(5).tolist() for arm, each in curves.items()}


def _assemble(documents: list[dict[str, Any]], config: CascadeConfig, seed: int) -> CascadeResult:
    tiers, models = [], []
    for document in documents:
        readings = {name: Reading(**reading) for name, reading in document["readings"].items()}
        tiers.append(TierResult(**(document["tier"] | {"readings": readings})))
        models += [ModelResult(**model) for model in document["models"]]
    losses = [_paired_losses(models, tier.name) for tier in tiers]
    scaling = extrapolate(
        [tier.parameters for tier in tiers],
        [reference for reference, _ in losses],
        [candidate for _, candidate in losses],
        target=config.target_parameters,
        level=config.confidence_level,
        rng=generator(seed, "cascade", "scaling"),
    )
    return CascadeResult(tuple(tiers), tuple(models), _pooled(tiers), scaling)


def _paired_losses(models: list[ModelResult], tier: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the reference's and the candidate's losses of the seeds of which neither diverged."""
    found = {(m.seed, m.arm): m.losses["all"] for m in models if m.tier == tier}
    pairs = [(found[seed, "reference"], found[seed, "candidate"]) for seed in sorted({seed for seed, _ in found})]
    kept = np.array([pair for pair in pairs if None not in pair], float).reshape(-1, 2)
    return kept[:, 0], kept[:, 1]


def _pooled(tiers: list[TierResult]) -> dict[str, Reading]:
    """Returns each reading as the mean over the tiers that measured its null too, or over all where none did.

    A tier without a null says something else than its neighbour: larger networks have larger ratios. The skill lost is
    that of the largest such tier alone, which has the most to lose: where a smaller one barely predicts a column, the
    share that it lost of next to nothing is noise.
    """
    pooled = {}
    for name in dict.fromkeys(name for tier in tiers for name in tier.readings):
        by_size = sorted(tiers, key=lambda tier: tier.parameters)
        found = [tier.readings[name] for tier in by_size if name in tier.readings]
        found = [r for r in found if r.value is not None] or found[:1]
        centred = [r for r in found if r.null_std is not None]
        if name in _OF_LARGEST or len(centred or found) == 1:
            pooled[name] = (centred or found)[-1]
            continue
        values = np.array([r.value for r in centred or found], float)
        spreads = [r.spread for r in centred or found if r.spread is not None]
        pooled[name] = Reading(
            float(values.mean()),
            float(np.mean(spreads)) if spreads else None,
            float(np.mean([r.null_mean for r in centred if r.null_mean is not None])) if centred else None,
            float(np.sqrt(np.mean([r.null_std**2 for r in centred if r.null_std is not None]))) if centred else None,
            None if centred else NO_NULL,
        )
    return pooled
