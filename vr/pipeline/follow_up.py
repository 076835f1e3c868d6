"""What a whole report has beyond its verdict: how diverse the candidate is, which rows are to blame, what to do."""

from collections.abc import Callable, Mapping
from typing import Any

from vr.cascade.agreement import by_each
from vr.core.workers import single_threaded
from vr.data.source import Source
from vr.detector.inputs import Inputs
from vr.localization.row_evidence import RowEvidence
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.diversity import diversity_section
from vr.pipeline.judging import Judged
from vr.pipeline.localization import localize_rows, proxies_of
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.run_folder import RunFolder
from vr.pipeline.stopwatch import Stopwatch

__all__ = ["follow_up"]


def follow_up(
    candidate: Source,
    inputs: Inputs,
    judged: Judged,
    evidence: Callable[[], RowEvidence | None],
    config: Config,
    folder: RunFolder,
    learned: Mapping[str, Mapping[str, Any]],
    stopwatch: Stopwatch,
    tell: ProgressCallback,
) -> dict[str, Any]:
    """Returns the sections by the report's keys: diversity, localization, recommendations, remedies.

    Args:
      candidate: Read once more, all of it.
      inputs: Both samples, and the proxies.
      judged: What the verdict was, and of what.
      evidence: Gives what reads rows, see `row_evidence`.
      config: Of the run.
      folder: Receives the row scores.
      learned: What earlier fixes came to, see `corrections_of`.
      stopwatch: Times each of the three stages.
      tell: Told of every step.
    """
    intake, currency = judged.intake, config.recommendation.prices.currency
    num_rows = intake.candidate_profile.rows
    sections: dict[str, Any] = {}
    with stopwatch.stage("diversity"), single_threaded():
        sections["diversity"] = diversity_section(
            candidate,
            intake,
            inputs,
            judged.measurements["entropy_stability"],
            judged.alone,
            batch_rows=config.data.batch_rows,
        )

    with stopwatch.stage("localize"), single_threaded():
        # Process 0 alone writes the table of row scores.
        proxies, not_asked = proxies_of(intake, config, inputs.cascade, inputs.cascade_reason)
        told = judged.features, lambda *step: tell(Event(*step)), proxies
        found, weight = by_each(lambda: localize_rows(candidate, intake, evidence(), config, folder, *told))
        sections["localization"] = assemble.localization_section(found, num_rows, intake.splits_reason, not_asked)
    with stopwatch.stage("recommend"), single_threaded():
        from vr.pipeline import remedies
        from vr.pipeline.advice import advise, num_shares

        tell(Event("recommend", 0, 1))
        shares = num_shares(config)

        def on_share(done: int) -> None:
            tell(Event("recommend", done, shares + 1, "shares of real rows"))

        advice = advise(
            candidate,
            intake,
            inputs,
            config,
            judged.judgement,
            judged.features,
            judged.specs,
            found,
            weight,
            on_share,
            learned,
        )
        sections["recommendations"] = remedies.recommendation_sections(advice.actions)
        sections["remedies"] = remedies.remedies_section(advice, currency, num_rows, judged.risk)
        tell(Event("recommend", 1, 1))
    return sections
