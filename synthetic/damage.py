"""Damages with a strength and known rows: what a detector should find, and where.

    table, rows = DAMAGES["flip_labels"](real, strength=0.1, key=0)

Every damage takes a table, a strength in 0..1 (0 changes nothing) and a key, and returns the damaged table with a mask
of the rows that it damaged. Damages that remove rows leave none to point at: their mask is all False.
"""

from synthetic.edits import Damage, Damaged
from synthetic.lost_rows import (
    cut_tails,
    drop_mode,
    duplicate_rows,
    lose_rare_categories,
    low_diversity,
    near_duplicates,
)
from synthetic.wrong_cells import (
    break_pair,
    drifted_block,
    flip_labels,
    impossible_combinations,
    shuffle_cells,
    shuffle_columns,
    wrong_units,
)

__all__ = [
    "DAMAGES",
    "Damage",
    "Damaged",
    "break_pair",
    "cut_tails",
    "drifted_block",
    "drop_mode",
    "duplicate_rows",
    "flip_labels",
    "impossible_combinations",
    "lose_rare_categories",
    "low_diversity",
    "near_duplicates",
    "shuffle_cells",
    "shuffle_columns",
    "wrong_units",
]

DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        drop_mode,
        cut_tails,
        lose_rare_categories,
        low_diversity,
        duplicate_rows,
        near_duplicates,
        shuffle_columns,
        break_pair,
        flip_labels,
        shuffle_cells,
        drifted_block,
        impossible_combinations,
        wrong_units,
    )
}
