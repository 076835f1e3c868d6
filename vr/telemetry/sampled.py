"""What a stratified sample holds, for a person at a terminal."""

import sys

from vr.core.printable import printable
from vr.pipeline.report import SampleCheck, StratifiedSampleSection

__all__ = ["check_line", "print_sampled", "sampled_lines"]


def sampled_lines(drawn: StratifiedSampleSection) -> list[str]:
    """Returns the new file, what its rows are, and how they stand for all rows."""
    rows, wanted, of = drawn.rows or 0, drawn.wanted_drawn or 0, drawn.wanted_rows or 0
    lines = [
        f"wrote {drawn.uri}: {rows:,} rows, with their numbers in {drawn.row_column} and weights in "
        f"{drawn.weight_column}",
        f"  {rows - wanted:,} ordinary rows, in proportion, of {drawn.clusters} clusters",
        f"  {wanted:,} of {of:,} rows that are rare or far out: {drawn.rare_codes:,} values and {drawn.rare_pairs:,} "
        f"pairs of values, {drawn.floor:.3g} rows of each or all there are",
    ]
    if drawn.check is not None:
        lines += check_line(drawn.check)
    return lines


def check_line(check: SampleCheck) -> list[str]:
    """Returns how a sample stands for its file, in a line; none where that is not known."""
    if check.confidence is None or check.band is None or check.effective_rows is None:
        return []
    return [
        f"  confidence {check.confidence:.2f}: the share of {check.columns} columns that lie within {check.band:.3f} "
        f"of the file (worst {check.worst_column}, {check.worst_distance:.3f}); weighted, as good as "
        f"{check.effective_rows:,.0f} rows"
    ]


def print_sampled(drawn: StratifiedSampleSection) -> None:
    """Prints it on stdout."""
    sys.stdout.write(printable("\n".join(sampled_lines(drawn)) + "\n"))
