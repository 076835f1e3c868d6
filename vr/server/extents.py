"""Of how much of a validation the computation answers a call: the verdict's alone, or that of the whole."""

from collections.abc import Mapping
from typing import Any

from vr.pipeline.extent import Extent
from vr.server.store import DAMAGED
from vr.server.validation import ABANDONED

__all__ = ["Kept", "answering", "may_train", "to_begin"]

Kept = dict[Extent, dict[str, Any]]  # how far every extent of an id is that was asked for


def answering(job: Mapping[str, Any], wanted: Extent, kept: Kept, *, trains: bool) -> Extent:
    """Returns the extent whose computation answers who wants so much of a job.

    Args:
      job: As the store keeps it.
      wanted: How much is wanted.
      kept: What is known under its id.
      trains: Whether a job trains proxies that says nothing of it.
    """
    states = {extent: each["state"] for extent, each in kept.items()}
    if wanted is Extent.whole:
        # What failed, or was cancelled, before it had a verdict comes to no more, unless more was under way by then.
        ends = Extent.whole not in states and states.get(Extent.verdict) in ("failed", "cancelled")
        return Extent.verdict if ends else Extent.whole
    finished = [extent for extent in Extent if states.get(extent) == "finished"]
    asked = [extent for extent in Extent if states.get(extent, ABANDONED) not in (ABANDONED, DAMAGED)]
    damaged = [extent for extent in Extent if states.get(extent) == DAMAGED]
    return next(iter(finished + asked + damaged), to_begin(job, wanted, trains=trains))


def to_begin(job: Mapping[str, Any], wanted: Extent, *, trains: bool) -> Extent:
    """Returns the extent to begin where nothing of a job is under way; see `answering`."""
    # What a verdict spares is nothing beside training, and nothing is to be trained twice.
    return Extent.whole if may_train(job, by_default=trains) else wanted


def may_train(job: Mapping[str, Any], *, by_default: bool) -> bool:
    """Returns whether a job may train proxies, as far as its words say.

    Args:
      job: As the store keeps it.
      by_default: Whether one does that says nothing of it.
    """
    settings = job["settings"]
    named = settings.get("cascade")
    trains = named != "none" if named else by_default
    return trains or any(word.startswith("cascade.") for word in settings.get("overrides", ()))
