"""What one check found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from vr.core.printable import printable

__all__ = ["BROKEN", "NOTE", "OK", "Finding", "checked", "lines_of"]

OK, NOTE, BROKEN = "ok", "note", "broken"
_WIDTH = 16


@dataclass(frozen=True)
class Finding:
    """One line of the account.

    Attributes:
      name: What was looked at.
      state: `ok`; `note`, where vr works and somebody may want to know; `broken`, where something of it does not.
      said: What was found, for a person.
      hint: What to do; of what is not `ok`.
      values: The same for a program.
    """

    name: str
    state: str
    said: str
    hint: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return asdict(self)


def checked(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yields what a check finds; one that fails is itself a finding."""
    try:
        yield from check()
    except Exception as err:  # noqa: BLE001 - whatever is wrong here, the other checks are to be made
        said = f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
        hint = "vr doctor --debug shows the traceback"
        yield Finding(name, BROKEN, f"could not be checked: {' '.join(said.split())}", hint)


def lines_of(finding: Finding) -> str:
    """Returns a finding as it is printed."""
    text = f"{finding.state:<7} {finding.name:<{_WIDTH}} {finding.said}\n"
    return printable(text if finding.hint is None else f"{text}{'':<{_WIDTH + 9}}{finding.hint}\n")
