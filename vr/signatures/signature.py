"""A signature: the fingerprint of one dataset, where it came from, and what became of a model trained on it."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vr.core.errors import DataError
from vr.signatures.components import NAMES

__all__ = ["COLLAPSE_TYPES", "LABELS", "Origin", "Outcome", "Signature", "check_fingerprint"]

LABELS = ("healthy", "grey", "collapsed")
COLLAPSE_TYPES = ("distribution", "correlation", "rare_pattern", "temporal", "semantic")
_MOST_TEXT = 200  # characters of a name
_MOST_NUMBER = 1e6


@dataclass(frozen=True)
class Origin:
    """Where a dataset came from.

    Attributes:
      dataset: The real dataset that it imitates.
      kind: `real`, `lineage`, `damage`, `harmless`, or `own` of a user's.
      source: Generator family, damage or change.
      workflow: Of a lineage: `replace`, `accumulate` or `mix`; empty otherwise.
      generation: Of a lineage, how often the generator was refitted to its own output; 0 otherwise.
      real_share: Of a mix.
      strength: Of a damage or change.
    """

    dataset: str
    kind: str = "own"
    source: str = ""
    workflow: str = ""
    generation: int = 0
    real_share: float = 0.0
    strength: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What was measured by training on it, and judging on untouched real rows.

    Attributes:
      label: `healthy`, `grey` or `collapsed`.
      skill_lost: Share of the skill that as many real rows give; None where it was not measured.
      tail_skill_lost: The same over the rarest tenth of the test rows.
    """

    label: str
    skill_lost: float | None = None
    tail_skill_lost: float | None = None


@dataclass(frozen=True)
class Signature:
    """One entry of a library; `id` is a digest of all else, so the same entry is the same everywhere.

    Attributes:
      fingerprint: Components in the order of `fingerprint.NAMES`, None where not defined.
      origin: Where the dataset came from.
      outcome: What was measured.
      collapse_type: What kind of collapse the dimensions show; None where healthy or none that names one fails.
      id: `sig-` and 24 hexadecimal digits.
    """

    fingerprint: tuple[float | None, ...]
    origin: Origin
    outcome: Outcome
    collapse_type: str | None = None
    id: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        found = self.digest()[:24]
        if not self.id:
            object.__setattr__(self, "id", f"sig-{found}")
        elif self.id != f"sig-{found}":
            raise DataError("the signature's contents do not give its id: it was damaged or edited", where=self.id)

    def digest(self) -> str:
        """Returns the SHA-256 of everything but the id, in hexadecimal."""
        return hashlib.sha256(self.content().encode()).hexdigest()

    def content(self) -> str:
        """Returns everything but the id as canonical JSON."""
        document = self.to_document()
        del document["id"]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def to_document(self) -> dict[str, Any]:
        """Returns JSON-able values, the form that `from_document` takes back."""
        # Whole numbers as floats, so that a signature has one content however it was made.
        origin = vars(self.origin) | {name: float(getattr(self.origin, name)) for name in ("real_share", "strength")}
        return {
            "id": self.id,
            "origin": origin,
            "outcome": {name: _float(value) for name, value in vars(self.outcome).items()},
            "collapse_type": self.collapse_type,
            "fingerprint": [_float(value) for value in self.fingerprint],
        }

    @classmethod
    def from_document(cls, document: Any, where: str) -> "Signature":
        """Returns the signature of a document that anybody may have written; an empty id is made.

        Raises:
          DataError: Something is missing, unknown, ill-typed or out of range; `where` and the field are named.
        """
        _keys(document, ("id", "origin", "outcome", "collapse_type", "fingerprint"), where)
        origin, outcome = document["origin"], document["outcome"]
        _keys(origin, tuple(Origin.__dataclass_fields__), f"{where}: origin")
        _keys(outcome, tuple(Outcome.__dataclass_fields__), f"{where}: outcome")
        for name in ("dataset", "kind", "source", "workflow"):
            _text(origin[name], f"{where}: origin.{name}")
        generation = origin["generation"]
        if not isinstance(generation, int) or isinstance(generation, bool) or not 0 <= generation <= 10_000:
            raise DataError("must be a whole number of 0 to 10,000", where=f"{where}: origin.generation")
        origin = origin | {
            name: _number(origin[name], f"{where}: origin.{name}") for name in ("real_share", "strength")
        }
        if not 0.0 <= origin["real_share"] <= 1.0:
            raise DataError("must lie in 0 to 1", where=f"{where}: origin.real_share")
        if outcome["label"] not in LABELS:
            raise DataError(f"must be one of {', '.join(LABELS)}", where=f"{where}: outcome.label")
        outcome = outcome | {
            name: None if outcome[name] is None else _number(outcome[name], f"{where}: outcome.{name}")
            for name in ("skill_lost", "tail_skill_lost")
        }
        if document["collapse_type"] not in (None, *COLLAPSE_TYPES):
            raise DataError(f"must be null or one of {', '.join(COLLAPSE_TYPES)}", where=f"{where}: collapse_type")
        components = check_fingerprint(document["fingerprint"], f"{where}: fingerprint")
        _text(document["id"], f"{where}: id")
        return cls(components, Origin(**origin), Outcome(**outcome), document["collapse_type"], document["id"])

    @classmethod
    def of_own(cls, document: dict[str, Any]) -> "Signature":
        """Returns the signature of a document that `to_document` made; checking more would take most of the time.

        So it is for the package's own file alone, which a test and `vr doctor` read as anybody's.

        Raises:
          TypeError, KeyError: It is none.
        """
        if len(document["fingerprint"]) != len(NAMES):
            raise TypeError(f"{len(document['fingerprint'])} components, not {len(NAMES)}")
        made = cls.__new__(cls)
        vars(made).update(
            document,
            fingerprint=tuple(document["fingerprint"]),
            origin=Origin(**document["origin"]),
            outcome=Outcome(**document["outcome"]),
        )
        return made

    def with_outcome(self, outcome: Outcome) -> "Signature":
        """Returns the same dataset with another outcome, under another id."""
        return replace(self, outcome=outcome, id="")


def check_fingerprint(values: Any, where: str) -> tuple[float | None, ...]:
    """Returns the components of a fingerprint.

    Raises:
      DataError: It is none of this version.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(NAMES):
        raise DataError(f"must have {len(NAMES)} components", where=where, hint="it may be of another version of vr")
    return tuple(None if value is None else _number(value, f"{where}[{i}]") for i, value in enumerate(values))


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) else value


def _keys(document: Any, names: tuple[str, ...], where: str) -> None:
    if not isinstance(document, Mapping):
        raise DataError("must be an object", where=where)
    if missing := [name for name in names if name not in document]:
        raise DataError(f"has no {missing[0]}", where=where)
    if unknown := [str(name) for name in document if name not in names]:
        raise DataError(f"has an unknown field {unknown[0]!r}", where=where)


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise DataError(f"must be printable text of at most {_MOST_TEXT} characters", where=where)


def _number(value: Any, where: str) -> float:
    # An integer may be too long for a float: it is not asked whether it is finite.
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        raise DataError("must be a finite number", where=where)
    if abs(value) > _MOST_NUMBER:
        raise DataError(f"must lie in -{_MOST_NUMBER:g} to {_MOST_NUMBER:g}", where=where)
    return float(value)
