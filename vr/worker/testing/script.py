"""What goes wrong between a worker and the reference orchestrator, call by call."""

import random
import threading
from collections import Counter
from dataclasses import dataclass

__all__ = ["Fault", "Script"]

KINDS = ("lose_request", "lose_reply", "twice", "late")


@dataclass
class Fault:
    """What becomes of a call.

    Attributes:
      kind: `lose_request`: it never arrives; `lose_reply`: it takes effect and nobody hears; `twice`: it arrives twice;
        `late`: the caller hears nothing, and it takes effect later, after what was sent after it; `refuse`: it is
        answered by a status; `say`: the answer carries a command.
      name: Of the call.
      times: How often.
      seconds: Of `late`.
      code: Of `refuse`, gRPC's name.
      command: Of `say`.
    """

    kind: str
    name: str
    times: int = 1
    seconds: float = 0.0
    code: str = "UNAVAILABLE"
    command: int = 0


class Script:
    """Faults to come, first come first served; and a share of all calls that goes wrong by chance.

    Attributes:
      seen: Calls that arrived, by name.
      done: Faults that happened, by kind.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._rate, self._rng, self._late_s = 0.0, random.Random(0), 0.0
        self.seen: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def add(self, kind: str, name: str, times: int = 1, **more: float | str | int) -> None:
        """Plans a fault; see `Fault`."""
        with self._lock:
            self._faults.append(Fault(kind, name, times, **more))  # type: ignore[arg-type]

    def clear(self) -> None:
        """Forgets what was planned."""
        with self._lock:
            self._faults.clear()
            self._rate = 0.0

    def shake(self, rate: float, seed: int = 0, late_s: float = 1.0) -> None:
        """Makes a share of all calls go wrong from now on, in one of the ways in which a network does."""
        with self._lock:
            self._rate, self._rng, self._late_s = rate, random.Random(seed), late_s

    def next(self, name: str) -> list[Fault]:
        """Returns what is to happen to a call that has arrived."""
        with self._lock:
            self.seen[name] += 1
            found = [fault for fault in self._faults if fault.name == name and fault.times > 0]
            # All commands that wait, but one fault at a time.
            found = [f for f in found if f.kind == "say"] + [f for f in found if f.kind != "say"][:1]
            for fault in found:
                fault.times -= 1
            if not found and self._rng.random() < self._rate:
                found = [Fault(self._rng.choice(KINDS), name, seconds=self._rng.uniform(0.0, self._late_s))]
            self.done.update(fault.kind for fault in found)
            return found
