"""`vr profile`: one dataset described in one pass, without a verdict."""

import json
import os
from pathlib import Path
from typing import Any

from vr.data.source import Source
from vr.detector.inputs import Inputs
from vr.detector.registry import DIMENSIONS
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.diversity import diversity_section
from vr.pipeline.engines import passes_of, tell_known
from vr.pipeline.intake import take_in
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.run_folder import open_folder, refuse_inside, scratch_of, states_of, tidy, write_whole

__all__ = ["profile"]


def profile(
    dataset: Source, config: Config, *, progress: ProgressCallback | None = None, output: Path | None = None
) -> dict[str, Any]:
    """Describes one dataset.

    Args:
      dataset: What to describe.
      config: Codec, sample, seed and engine are used.
      progress: Told of every batch.
      output: Folder for profile.json.

    Returns:
      {"dataset": as in a report, "diversity": likewise, "drift": likewise}, JSON-able.

    Raises:
      ConfigError: where `output` cannot be used.
      DataError: where the dataset cannot be read or coded.
      VrError: where the file cannot be written.
    """
    refuse_inside(output, [dataset])
    if output is not None:
        open_folder(output)
    tell = progress or (lambda event: None)
    threads = config.engine.threads or os.cpu_count() or 1

    def step(stage: str, done: int, total: int | None, message: str) -> None:
        tell(Event(stage, done, total, message))

    states = None if output is None else states_of(output)
    with passes_of(config.engine, threads, states, [dataset]) as passes:
        intake = take_in(dataset, None, config, threads, step, passes=passes, on_known=tell_known(tell, config.engine))
    inputs = Inputs.of(intake, None, "no cascade was trained", config.seed, threads)
    entropy = DIMENSIONS["entropy_stability"].measure(inputs)
    consistency = DIMENSIONS["statistical_consistency"].measure(inputs)
    section = assemble.dataset_section(dataset, intake.candidate_profile, intake, inputs, is_candidate=True)
    measured = {**_nothing(), "statistical_consistency": consistency}
    sections = assemble.dimension_sections(measured, config.detector, "untrained")
    diversity = diversity_section(dataset, intake, inputs, entropy, batch_rows=config.data.batch_rows)
    document = {
        "dataset": section.model_dump(mode="json"),
        "diversity": diversity.model_dump(mode="json"),
        "drift": {
            "metrics": {
                name: metric.model_dump(mode="json")
                for name, metric in sections["statistical_consistency"].metrics.items()
            }
        },
    }
    if output is not None:
        text = json.dumps(document, indent=1, allow_nan=False)
        write_whole(output / "profile.json", text.encode(), scratch_of(output))
        tidy(output)
    return document


def _nothing() -> dict[str, Any]:
    from vr.detector.dimensions.base import Measurement

    return {name: Measurement.missing("a profile has no reference") for name in DIMENSIONS}
