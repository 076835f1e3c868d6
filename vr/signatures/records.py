"""What a library's history holds, record by record.

A *validation* says how a dataset was judged and what each recommended action was measured to do; a *fix* says which
actions were done to a dataset and which dataset came of it. Records hold verdicts, counts, kinds of actions,
fingerprints and the name of the dataset's file; no path, no column, no value of a row.
"""

from pydantic import BaseModel, ConfigDict, FiniteFloat

__all__ = ["TOGETHER", "Applied", "Fix", "Judged", "Prediction", "Record", "Validation"]


TOGETHER = "together"  # the kind of a prediction that is of several actions at once


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prediction(_Content):
    """A recommended action: what the candidate's risk, 0 to 100, was measured to be after it alone; None where not.

    `shift` are the points of it by which earlier history had moved it; what was measured is `risk` less these.
    """

    priority: int
    kind: str
    rows: int
    risk: FiniteFloat | None
    shift: FiniteFloat = 0.0
    lower: FiniteFloat | None
    upper: FiniteFloat | None
    skill_lost: FiniteFloat | None


class Judged(_Content):
    """How a dataset was judged.

    `question` is a digest of what has to be the same for two risks to be comparable, beside the reference: the head,
    the proxies, how rows were sampled and coded. It holds no seed. `skill_lost` is the share of the skill that training
    on it is expected to lose.
    """

    name: str
    fingerprint: str
    rows: int
    reference: str | None
    question: str
    seed: int
    verdict: str
    risk: FiniteFloat | None
    skill_lost: FiniteFloat | None


class Validation(_Content):
    """A dataset judged, and what was recommended for it."""

    judged: Judged
    recommended: tuple[Prediction, ...]


class Applied(_Content):
    """What became of a chosen action; `as_told` says that it was done to as many rows as its prediction is of."""

    prediction: Prediction
    status: str
    as_told: bool
    rows_removed: int
    cells_changed: int
    rows_added: int


class Fix(_Content):
    """Actions done to a dataset that was judged before, and the fingerprint of what came of it."""

    before: Judged
    applied: tuple[Applied, ...]
    output: str
    output_rows: int
    # Of just the actions that were done, all at once; None where that was not measured, or of one alone.
    together: Prediction | None = None

    @property
    def foretold(self) -> Prediction | None:
        """What was predicted: of the actions at once, else the lowest risk that one of them was to bring by itself.

        Where what several do was not measured beforehand, all of them may bring it lower.
        """
        if self.together is not None:
            return self.together
        found = [each.prediction for each in self.applied if each.as_told and each.prediction.risk is not None]
        return min(found, key=lambda each: (each.risk, each.priority), default=None)

    @property
    def is_of_one(self) -> bool:
        """Whether one action alone changed the dataset, so that prediction and outcome are of the same thing."""
        return sum(each.status == "done" for each in self.applied) == 1


Record = Validation | Fix
