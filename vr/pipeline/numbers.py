"""The candidate's columns of numbers beside the reference's: what leaves the range, and what is in another unit."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from vr.data.schema import ColumnKind
from vr.localization.regions import Region
from vr.pipeline.intake import Intake
from vr.recommendation.ranges import Beyond, beyond_reference
from vr.recommendation.units import Numbers, UnitError, find_unit_errors

__all__ = ["beyond_of", "unit_errors_of"]


def beyond_of(intake: Intake) -> list[Beyond]:
    """Returns the columns of numbers that leave the reference's range."""
    if intake.reference_profile is None:
        return []
    return beyond_reference(
        [(each.column, each.values[~np.isnan(each.values)], each.lower, each.upper) for each in _numbers(intake)],
        num_rows=intake.candidate_profile.rows,
        reference_rows=intake.reference_profile.rows,
    )


def unit_errors_of(intake: Intake, regions: Sequence[Region]) -> list[UnitError]:
    """Returns the columns with numbers in another unit than the reference's; `regions` are those of the file."""
    stretches = [(region.row_start, region.row_end) for region in regions]
    return find_unit_errors(list(_numbers(intake)), intake.candidate.rows, stretches, intake.candidate_profile.rows)


def _numbers(intake: Intake) -> Iterator[Numbers]:
    """Yields the columns of numbers whose range in the reference is known."""
    if intake.reference is None or intake.reference_profile is None:
        return
    numeric = {column.name for column in intake.codec.columns if column.kind is ColumnKind.numeric}
    stored = intake.candidate_profile.sample.table.schema
    for j, encoder in enumerate(intake.codec.encoders):
        if encoder.source not in numeric or pa.types.is_boolean(stored.field(encoder.source).type):
            continue
        moments = intake.reference_profile.moments[encoder.name]
        if np.isfinite([moments.low, moments.high]).all():
            values = intake.candidate.values[:, j], intake.reference.values[:, j]
            yield Numbers(encoder.source, *values, moments.low, moments.high)
