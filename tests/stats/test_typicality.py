import numpy as np
import pytest

from vr.stats.typicality import fit_typicality


def test_a_cells_evidence_is_the_two_sided_tail_among_real_numbers():
    rng = np.random.default_rng(0)
    real = np.round(rng.normal(size=(500, 1)), 1)  # with many ties
    found = fit_typicality(np.zeros((500, 1), np.uint16), real, np.array([True]), np.array([3]))
    low, high = np.quantile(real, [0.02, 0.98])
    x = np.concatenate([real[:100, 0], rng.normal(size=100), [real.max() + 0.5 * (high - low), -40.0]])
    for value, read in zip(x, found.read(np.zeros((len(x), 1), np.uint16), x[:, None])[:, 0], strict=True):
        tail = min(1.0, 2.0 * (min((real >= value).sum(), (real <= value).sum()) + 1.0) / 501.0)
        beyond = max(value - real.max(), real.min() - value, 0.0) / (high - low)
        assert read == pytest.approx(-np.log10(tail) + min(4.0 * beyond, 4.0))


def test_a_category_or_a_missing_number_is_as_odd_as_its_code_is_rare():
    codes = np.repeat(np.array([0, 1, 2], np.uint16), [80, 15, 5])[:, None]
    numbers = np.where(codes == 2, np.nan, 1.0 * codes)
    for values, numeric in ((numbers, True), (np.full_like(numbers, np.nan), False)):
        found = fit_typicality(codes, values, np.array([numeric]), np.array([3]))
        assert found.read(codes, values)[-1, 0] == pytest.approx(-np.log10(6 / 101))
