"""What was read and measured of references, kept for the next candidates that a process judges by the same ones.

About half of what a validation without proxies takes goes to the reference alone: the nulls of every split, the forests
of the skill test, what row scores are held against. It depends on the reference's rows, on how they are coded and on
the seed, and on no candidate but for its number of rows; so who validates many candidates against one reference
measures it once, and gets the same report. Files that have not changed since are not read again either.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from copy import copy
from typing import Any

from vr.data.portable import packed_codec
from vr.pipeline.intake import Base, Intake

__all__ = ["References"]

_MOST_ENTRIES = 256  # of one reference: some fifty for each number of rows that candidates have


class References:
    """The references that were last validated against; for one validation at a time.

    Args:
      most: Kept, at least 1; each takes some tens of megabytes, samples of rows among them, and some hundred where
        dozens of columns have many categories.
    """

    def __init__(self, most: int = 2):
        self._most = most
        self._scope = ""
        self._known: OrderedDict[str, MutableMapping[tuple, Any]] = OrderedDict()
        self._read: OrderedDict[str, Base] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def scoped(self, scope: str) -> "References":
        """Returns the same references as one scope sees them: what is known in another is not used in it."""
        view = copy(self)
        view._scope = scope
        return view

    def of(self, intake: Intake, seed: int) -> MutableMapping[tuple, Any]:
        """Returns what is known of a validation's reference, to be added to; nothing of one without a reference.

        Args:
          intake: Of the validation.
          seed: Its own.
        """
        if intake.reference_profile is None:
            return {}
        profile = intake.reference_profile
        told = f"{self._scope}\0{seed}\0{profile.fingerprint}\0{profile.rows}\0{intake.pair_columns.tolist()}\0"
        key = hashlib.sha256(told.encode() + packed_codec(intake.codec)).hexdigest()
        nulls = self._known.pop(key, {})
        for each in (nulls, *self._known.values()):
            if len(each) > _MOST_ENTRIES:
                each.clear()
        self._known[key] = nulls
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return self._known[key]

    def base(self, key: str, make: Callable[[], Base]) -> Base:
        """Returns what was read of a reference under a key before, or is made of it now.

        Args:
          key: What it depends on, its files and their times among it.
          make: Reads it.
        """
        key = f"{self._scope}\0{key}"
        base = self._read.pop(key, None) or make()
        self._read[key] = base
        while len(self._read) > self._most:
            self._read.popitem(last=False)
        return base
