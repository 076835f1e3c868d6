"""Tables of codes, jobs and networks at a preset's shape, made without reading a file."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vr.cascade.config import CascadeConfig, TierConfig
from vr.cascade.members import log_marginals
from vr.cascade.step import Data, Segment, TrainSettings, random_masks, start
from vr.cascade.training import Job
from vr.models import build
from vr.models.build import Model
from vr.models.table import INVALID

__all__ = ["codes_of", "jobs_of", "model_of"]

_CURVE_ROWS = 256


def codes_of(rows: int, columns: int, num_codes: int, seed: int = 0) -> np.ndarray:
    """Returns codes int32 `[n, d]`: numbers from four common factors and noise, cut at even quantiles."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 4)) @ rng.standard_normal((4, columns)) + 0.7 * rng.standard_normal((rows, columns))
    ranks = x.argsort(axis=0).argsort(axis=0)
    return (ranks * num_codes // rows).astype(np.int32)


def model_of(
    config: CascadeConfig, tier: TierConfig, codes: np.ndarray, dtype: Any, *, channels_first: bool = False
) -> Model:
    """Returns the tier's network for these codes, sized as `vr.cascade.train` does."""
    d, k = codes.shape[1], int(codes.max()) + 1
    before, width = 0, 0
    for each in config.tiers:
        width = each.width_on(d, k, before, config.heads)
        before = build.resonance_parameters(d, k, width, each.depth, config.heads)
        if each.name == tier.name:
            break
    if config.network.name == "mlp":
        return build.mlp(d, k, before, tier.depth, dtype=dtype)
    return build.resonance(d, k, width, tier.depth, heads=config.heads, dtype=dtype, channels_first=channels_first)


def jobs_of(model: Model, codes: np.ndarray, settings: TrainSettings, rate: float, members: int) -> list[Job]:
    """Returns that many jobs on the rows, each with weights, batches and hidden cells of its own."""
    return [_job(model, codes, settings, rate, member) for member in range(members)]


def _job(model: Model, codes: np.ndarray, settings: TrainSettings, rate: float, member: int) -> Job:
    d, sizes = codes.shape[1], np.full(codes.shape[1], int(codes.max()) + 1)

    def draws(*names: int) -> np.random.Generator:
        return np.random.default_rng((member, *names))

    real, rows = codes[:_CURVE_ROWS].T, codes[_CURVE_ROWS:]
    nothing = np.zeros((d, 0), np.int32)
    data = Data(
        np.ascontiguousarray(rows.T),
        np.ascontiguousarray(real),
        random_masks(draws(1), real.shape),
        nothing,
        nothing > 0,
    )
    params = model.init(draws(0), log_marginals(rows, sizes, INVALID))
    return Job(f"member {member + 1}", start(params, rate), data, segments(len(rows), d, settings, draws))


def segments(
    num_rows: int, columns: int, settings: TrainSettings, draws: Callable[..., np.random.Generator]
) -> Callable[[int], Segment]:
    """Returns what draws a segment by its number."""
    shape = (settings.segment_steps, settings.batch_rows)

    def drawn(number: int) -> Segment:
        batches = draws(2, number).integers(0, num_rows, shape, dtype=np.int32)
        return Segment(batches, random_masks(draws(3, number), (shape[0], columns, shape[1])))

    return drawn
