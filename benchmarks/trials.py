"""Trials of a long benchmark, one after the other: each is kept when it is over, so that it can be done in parts."""

import json
import math
import os
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Kept", "Trials", "carry_on", "revision"]

_MOST_FAILURES = 3  # in a row, after which it is no longer what is tried that fails


@dataclass(frozen=True)
class Trials:
    """What is to be tried.

    Attributes:
      name: Of all of them together.
      unit: What is counted, in the plural.
      planned: How many of these.
      trial: Does one, given its number and how many units are left to be done; returns what was found, with `units`,
        how many it did (1 where it does not say), and `wrong`, a list of what ought not to have been.
      least_s: Seconds that a trial takes at least, by its number.
    """

    name: str
    unit: str
    planned: int
    trial: Callable[[int, int], dict[str, Any]]
    least_s: Callable[[int], float] = lambda number: 0.0


class Kept:
    """What trials found, in a file that is written whole after each.

    Attributes:
      trials: What each found, as `Trials.trial` has it, with `failed`: it was broken off by an exception, and
        `revision`: the commit of the code.

    Args:
      path: The file; what it holds already counts.
      settings: That decide what each trial does, such as the seed of its moments.

    Raises:
      ValueError: if it holds trials of other settings, or no trials.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self._path, self._settings = path, dict(settings)
        self.trials: list[dict[str, Any]] = []
        if not path.exists():
            return
        try:
            document = json.loads(path.read_text())
            self.trials, theirs = list(document["trials"]), document["settings"]
        except (ValueError, KeyError, TypeError) as err:
            raise ValueError(f"{path} holds no trials ({err}): remove it, or name another folder") from err
        if theirs != self._settings:
            raise ValueError(f"{path} is of {theirs}, not {self._settings}: remove it, or name another folder")

    @property
    def done(self) -> int:
        """How many units were done."""
        return sum(trial["units"] for trial in self.trials)

    @property
    def wrong(self) -> list[str]:
        """What ought not to have been."""
        return [f"trial {number}: {told}" for number, each in enumerate(self.trials) for told in each["wrong"]]

    def add(self, trial: dict[str, Any]) -> None:
        """Keeps a trial."""
        self.trials.append(trial)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"settings": self._settings, "trials": self.trials}, indent=1) + "\n")
        os.replace(part, self._path)


def carry_on(trials: Trials, kept: Kept, until: float = math.inf) -> None:
    """Does what is left of trials, and tells of each on stdout.

    A trial that fails is one that found something wrong, and is not done again; after three in a row none begins.

    Args:
      trials: To be done.
      kept: What they found already, and where each is added as soon as it is over.
      until: None begins that would not be over by then, in seconds of `time.monotonic`, as far as that is known.
    """
    commit, failures = revision(), 0
    print(f"{trials.name}: {kept.done} of {trials.planned} {trials.unit} are done", flush=True)
    while (left := trials.planned - kept.done) > 0 and failures < _MOST_FAILURES:
        number = len(kept.trials)
        if time.monotonic() + trials.least_s(number) >= until:
            return
        try:
            found, failures = trials.trial(number, left), 0
        except Exception as err:  # noqa: BLE001 - of whatever kind, it is what this trial has found
            # The frame below this one's is the trial's own.
            at = traceback.extract_tb(err.__traceback__)[1:2]
            where = "".join(f", {frame.name}, line {frame.lineno}" for frame in at)
            found, failures = {"failed": True, "wrong": [f"{type(err).__name__}: {err}{where}"]}, failures + 1
        found = {"units": 1, "wrong": [], "failed": False, "revision": commit, **found}
        kept.add(found)
        told = "".join(f"; WRONG: {each}" for each in found["wrong"])
        print(f"{trials.name}: {kept.done} of {trials.planned} {trials.unit}{told}", flush=True)


def revision() -> str | None:
    """Returns the commit of the code that runs, with `-dirty` where it was changed since; None where there is none."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
