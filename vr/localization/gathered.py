"""What is found of a file's rows on the way from the first to the last, as bytes too: a pass can go on later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vr.data.packed import pack, unpack
from vr.data.repeats import Followers, Repeats
from vr.localization.regions import Blocks, Stretches
from vr.localization.stretches import Stretch
from vr.localization.worst import Worst

__all__ = ["Gathered", "Sampled"]

_OF_BLOCKS = ("rows", "repeats", "scores", "own", "kinds")
_OF_STRETCHES = ("rows", "scores", "kinds")


@dataclass(frozen=True)
class Sampled:
    """What was found of some of the rows.

    Attributes:
      suspicious: bool `[n]`, rows that count in `Localized.num_suspicious`.
      repeated: bool `[n]`, rows that repeat an earlier row of the file.
    """

    suspicious: np.ndarray
    repeated: np.ndarray

    @classmethod
    def none_yet(cls, num_rows: int) -> "Sampled":
        """Returns room for what is found of `num_rows` rows."""
        return cls(np.zeros(num_rows, bool), np.zeros(num_rows, bool))


@dataclass
class Gathered:
    """What is found of the first `rows` rows.

    Attributes:
      repeats: Knows the rows before.
      followers: Knows which of them were suspicious.
      blocks: Evidence along the file.
      stretches: What is found of the rows of known stretches.
      sampled: Of the rows that were asked for.
      worst: The rows of most evidence; None before the first.
      rows: Rows seen.
      num_repeated: Of these, rows that repeat an earlier one.
      num_suspicious: See `Localized`.
    """

    repeats: Repeats
    followers: Followers
    blocks: Blocks
    stretches: Stretches
    sampled: Sampled
    worst: Worst | None = None
    rows: int = 0
    num_repeated: int = 0
    num_suspicious: int = 0

    @classmethod
    def none_yet(cls, num_rows: int, stretches: Sequence[Stretch], num_sampled: int) -> "Gathered":
        """Returns that of no row yet, of a file of `num_rows` rows."""
        return cls(Repeats(), Followers(), Blocks(num_rows), Stretches(stretches), Sampled.none_yet(num_sampled))

    def to_bytes(self) -> bytes:
        """Returns it as bytes."""
        arrays = {
            **_under("blocks", {name: getattr(self.blocks, name) for name in _OF_BLOCKS}),
            **_under("stretches", {name: getattr(self.stretches, name) for name in _OF_STRETCHES}),
            **_under("repeats", self.repeats.arrays()),
            **_under("gone", self.followers.arrays()),
            **_under("sampled", {"suspicious": self.sampled.suspicious, "repeated": self.sampled.repeated}),
            **_under("worst", {} if self.worst is None else self.worst.arrays()),
        }
        header = {"rows": self.rows, "num_repeated": self.num_repeated, "num_suspicious": self.num_suspicious}
        return pack({"gathered": header}, arrays)

    @classmethod
    def of_bytes(cls, content: bytes, num_rows: int, stretches: Sequence[Stretch], num_sampled: int) -> "Gathered":
        """Returns what was gathered of the same file, with the same stretches and as many rows asked for.

        Raises:
          ValueError: if the bytes are damaged, or of something else.
        """
        header, arrays = unpack(content)
        if "gathered" not in header:
            raise ValueError("is nothing that was gathered")
        result = cls.none_yet(num_rows, stretches, num_sampled)
        parts = (("blocks", result.blocks, _OF_BLOCKS), ("stretches", result.stretches, _OF_STRETCHES))
        for label, part, names in parts:
            found = _of(label, arrays)
            for name in names:
                if getattr(part, name).shape != found[name].shape:
                    raise ValueError("is of another file")
                setattr(part, name, found[name])
        sampled = Sampled(**_of("sampled", arrays))
        if len(sampled.suspicious) != num_sampled:
            raise ValueError("is of another sample")
        worst = _of("worst", arrays)
        return cls(
            Repeats.of_arrays(_of("repeats", arrays)),
            Followers.of_arrays(_of("gone", arrays)),
            result.blocks,
            result.stretches,
            sampled,
            Worst.of_arrays(worst) if worst else None,
            **header["gathered"],
        )


def _under(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{part}-{name}": array for name, array in arrays.items()}


def _of(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.partition("-")[2]: array for name, array in arrays.items() if name.partition("-")[0] == part}
