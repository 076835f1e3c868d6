"""Codes of a column in words."""

import numpy as np

from vr.detector.inputs import Columns

__all__ = ["condition", "distinctive_conditions"]

_NAMED = 4  # categories of a condition that are spelt
_CORE = 0.8  # share of a group's rows that a condition on an ordinal column holds


def condition(columns: Columns, j: int, codes: np.ndarray) -> str:
    """Returns what it takes for a row to have one of `codes` (ascending, not empty) in column j, name included."""
    labels, name = columns.labels[j], columns.names[j]
    if len(codes) == 1:
        return f"{name} is {labels[codes[0]]}"
    if not columns.ordinal[j]:
        spelt = ", ".join(labels[code] for code in codes[:_NAMED])
        more = f" and {len(codes) - _NAMED} more" if len(codes) > _NAMED else ""
        return f"{name} is one of {spelt}{more}"
    null = " or null" if codes[0] == 0 else ""
    codes = codes[codes > 0]
    if len(codes) == 1:
        return f"{name} is {labels[codes[0]]}{null}"
    first, last = _ends(labels[codes[0]]), _ends(labels[codes[-1]])
    # The outermost codes lie beyond the range of what the codec was fitted to.
    if codes[0] <= 1:
        return f"{name} up to {last[1]}{null}"
    if codes[-1] == len(labels) - 1:
        return f"{name} from {first[0]}{null}"
    return f"{name} {'is ' + last[1] if first[0] == last[1] else f'from {first[0]} to {last[1]}'}{null}"


def distinctive_conditions(
    columns: Columns, inside: np.ndarray, overall: np.ndarray, most: int = 3
) -> tuple[list[str], list[str]]:
    """Returns what sets a group of rows apart from all rows, on at most `most` columns, most telling first.

    A column tells by the Kullback-Leibler divergence of the group's codes from all rows' codes. Its condition holds the
    group's commonest categories, or its middle codes, at least 80 % of its rows.

    Args:
      columns: The encoded columns.
      inside: Codes `[m, d]` of the group, at least one row.
      overall: Codes `[n, d]` of all rows.
      most: Conditions.

    Returns:
      (conditions, names of their columns); empty where nothing sets the group apart.
    """
    told = []
    for parts in columns.parts.values():
        for j in parts:
            size = int(columns.num_codes[j])
            here = np.bincount(inside[:, j], minlength=size) / len(inside)
            there = (np.bincount(overall[:, j], minlength=size) + 0.5) / (len(overall) + 0.5 * size)
            gain = float(np.sum(here * np.log(np.where(here > 0, here, 1.0) / there)))
            told.append((gain, j, here))
    told.sort(key=lambda item: -item[0])
    conditions, names, sources = [], [], set()
    owner = {j: head for head, parts in columns.parts.items() for j in parts}
    for gain, j, here in told:
        # Less than what three rows in a hundred tell by chance; and a date once, by its most telling part.
        if gain < max(0.1, 3.0 / len(inside)) or owner[j] in sources or len(conditions) == most:
            continue
        codes = _core(here, bool(columns.ordinal[j]))
        if len(codes) > 0.75 * np.count_nonzero(np.bincount(overall[:, j])):
            continue
        sources.add(owner[j])
        conditions.append(condition(columns, j, codes))
        names.append(columns.names[owner[j]])
    return conditions, names


def _core(shares: np.ndarray, ordinal: bool) -> np.ndarray:
    """Returns the fewest codes that hold `_CORE` of the shares; of an ordinal column codes in a row."""
    if not ordinal:
        order = np.argsort(-shares, kind="stable")
        num = int(np.searchsorted(np.cumsum(shares[order]), _CORE - 1e-9)) + 1
        return np.sort(order[:num])
    total = np.concatenate([[0.0], np.cumsum(shares)])
    # For each first code the first last one that is enough.
    last = np.searchsorted(total, total[:-1] + _CORE - 1e-9)
    able = np.flatnonzero(last < len(total))
    best = int(able[np.argmin(last[able] - able)])
    return np.arange(best, int(last[best]))


def _ends(label: str) -> tuple[str, str]:
    low, _, high = label.partition(" to ")
    bare = low.removeprefix("below ").removeprefix("above ").removeprefix(">")
    return bare, high or bare
