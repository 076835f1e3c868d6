"""How much of a validation is asked for."""

from enum import StrEnum

__all__ = ["NOT_ASKED", "Extent"]

NOT_ASKED = "not asked for: only the verdict was"


class Extent(StrEnum):
    """What is computed; what both compute is the same in both.

    `verdict`: what the verdict takes, the pre-screen and the eight dimensions. `whole`: diversity, the rows to blame,
    and what to do about it too.
    """

    verdict = "verdict"
    whole = "whole"
