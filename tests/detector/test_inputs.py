import numpy as np

from vr.detector.dimensions.entropy_stability import duplicate_fraction
from vr.detector.inputs import Side


def side(codes, values):
    codes, values = np.array(codes, np.uint16), np.array(values, float)
    return Side(codes, values, np.zeros((len(codes), 1), np.float32), np.arange(len(codes)))


def test_rows_have_one_key_where_codes_and_numbers_are_equal_nulls_included():
    rows = side([[1, 2], [1, 2], [1, 3], [1, 2], [1, 2]], [[0.5, np.nan]] * 3 + [[0.25, np.nan], [0.5, 7.0]])
    keys = rows.row_keys()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert np.isclose(duplicate_fraction(rows), 0.2)
