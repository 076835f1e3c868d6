"""The pre-screen as a step of the pipeline: what is known of a candidate before anything is trained."""

from dataclasses import asdict, dataclass
from typing import Any

from vr.detector.inputs import Inputs
from vr.pipeline.report import HistoricalOutcome, Interval, PreScreenSection, SignatureMatch, Status
from vr.signatures.components import NAMES, VERSION
from vr.signatures.config import SignaturesConfig
from vr.signatures.fingerprint import measure
from vr.signatures.library import Library, Match
from vr.signatures.prescreen import PreScreen, Screened, load_prescreen

__all__ = ["BeforeTraining", "match_section", "pre_screen"]


@dataclass(frozen=True)
class BeforeTraining:
    """What the report says of it.

    Attributes:
      section: The answer.
      signatures: The nearest, best first.
    """

    section: PreScreenSection
    signatures: list[SignatureMatch]

    @classmethod
    def of(cls, document: dict[str, Any]) -> "BeforeTraining":
        """Returns what `pre_screen` gave, here or in another process."""
        return cls(
            PreScreenSection.model_validate(document["prescreen"]),
            [SignatureMatch.model_validate(each) for each in document["signatures"]],
        )

    @property
    def message(self) -> str:
        """The answer in one line."""
        section, found = self.section, self.section.collapse_probability
        if found is None or found.value is None:
            return f"not measured: {section.reason or (found and found.reason) or 'unknown'}"
        words = "stop before training" if section.answer == "stop" else "proceed"
        percent = "over 99" if found.value > 0.99 else "under 1" if found.value < 0.01 else f"{100 * found.value:.0f}"
        text = f"{words}: collapse probability {percent} % before any training"
        if section.outside_library or not self.signatures:
            return f"{text}; outside the library: nothing known is near"
        nearest = self.signatures[0]
        outcome = nearest.historical_outcome
        made = " ".join(part for part in (outcome.source or outcome.kind, _depth(outcome)) if part)
        return f"{text}; nearest known: {made} of {outcome.dataset}, {outcome.label} ({nearest.similarity:.2f} alike)"

    @property
    def values(self) -> dict[str, float]:
        """Numbers for a tracker."""
        found = self.section.collapse_probability
        return {} if found is None or found.value is None else {"prescreen/collapse_probability": found.value}


def pre_screen(inputs: Inputs, library: Library | None, config: SignaturesConfig) -> dict[str, Any]:
    """Returns the answer and the nearest signatures, as JSON-able values that processes can tell each other.

    Args:
      inputs: Without a cascade; what is measured here is not measured again.
      library: What to compare with.
      config: How many neighbours, and whether to stop.
    """
    assert library is not None
    fitted = load_prescreen()
    if not inputs.splits:
        section = PreScreenSection(status=Status.not_measured, reason=inputs.splits_reason, version=fitted.version)
        return {"prescreen": section.model_dump(mode="json"), "signatures": []}
    found = fitted.screen(measure(inputs), library, config.neighbours)
    section = _section(found, fitted, library, stops=config.stop)
    return {
        "prescreen": section.model_dump(mode="json"),
        "signatures": [match_section(match).model_dump(mode="json") for match in found.matches],
    }


def match_section(match: Match) -> SignatureMatch:
    """Returns a match as the report holds it."""
    signature = match.signature
    return SignatureMatch(
        signature_id=signature.id,
        collapse_type=signature.collapse_type,
        similarity=round(match.similarity, 6),
        historical_outcome=HistoricalOutcome(
            **asdict(signature.outcome),
            **asdict(signature.origin),
            reason="not measured"
            if None in (signature.outcome.skill_lost, signature.outcome.tail_skill_lost)
            else None,
        ),
    )


def _section(found: Screened, fitted: PreScreen, library: Library, *, stops: bool) -> PreScreenSection:
    reason = None if found.probability is not None else "nothing that the pre-screen reads could be measured"
    values = [None if x is None else round(x, 6) for x in (found.probability, found.lower, found.upper)]
    return PreScreenSection(
        status=Status.not_measured if reason else Status.measured,
        reason=reason,
        answer=None if reason else "stop" if found.stop else "proceed",
        stopped=stops and found.stop,
        collapse_probability=Interval(
            value=values[0], lower=values[1], upper=values[2], level=found.level, reason=reason
        ),
        stop_from=round(found.stop_from, 6),
        outside_library=found.outside,
        outside_below=fitted.outside_below,
        fingerprint_version=VERSION,
        fingerprint={name: z for name, z in zip(NAMES, found.fingerprint, strict=True) if z is not None},
        library={
            "signatures": len(library.signatures),
            **({} if library.generation is None else {"generation": library.generation}),
            "digest": library.digest,
            "damaged": list(library.damaged[:20]),
            "missing": library.lost,
        },
        beyond=list(found.beyond),
        version=fitted.version,
        line=fitted.line,
    )


def _depth(outcome: HistoricalOutcome) -> str:
    if outcome.generation:
        return f"generation {outcome.generation}"
    return f"at {outcome.strength:g}" if outcome.strength else ""
