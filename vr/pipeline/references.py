"""What was measured of references, kept for the next candidates that a process judges by the same ones.

About half of what a validation without proxies takes goes to the reference alone: the nulls of every split, the forests
of the skill test, what row scores are held against. It depends on the reference's rows, on how they are coded and on
the seed, and on no candidate but for its number of rows; so who validates many candidates against one reference
measures it once, and gets the same report.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

from vr.data.portable import packed_codec
from vr.pipeline.intake import Intake

__all__ = ["NullsOf", "References"]

NullsOf = Callable[[Intake, int], MutableMapping[tuple, Any]]  # of a validation's intake and seed

_MOST_ENTRIES = 256  # of one reference: some fifty for each number of rows that candidates have


class References:
    """The references that were last validated against; for one validation at a time.

    Args:
      most: Kept, at least 1; each takes some tens of megabytes, samples of rows among them.
    """

    def __init__(self, most: int = 2):
        self._most = most
        self._known: OrderedDict[str, MutableMapping[tuple, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, intake: Intake, seed: int, scope: str = "") -> MutableMapping[tuple, Any]:
        """Returns what is known of a validation's reference, to be added to; nothing of one without a reference.

        Args:
          intake: Of the validation.
          seed: Its own.
          scope: Whose it is: what is known in one scope is not used in another.
        """
        if intake.reference_profile is None:
            return {}
        profile = intake.reference_profile
        told = f"{scope}\0{seed}\0{profile.fingerprint}\0{profile.rows}\0{intake.pair_columns.tolist()}\0"
        key = hashlib.sha256(told.encode() + packed_codec(intake.codec)).hexdigest()
        nulls = self._known.pop(key, {})
        for each in (nulls, *self._known.values()):
            if len(each) > _MOST_ENTRIES:
                each.clear()
        self._known[key] = nulls
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return self._known[key]
