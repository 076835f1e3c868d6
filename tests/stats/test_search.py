import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vr.stats.search import SortedKeys

_numbers = st.floats(allow_nan=False)  # infinite ones and those next to zero too


@given(arrays(float, st.integers(1, 300), elements=_numbers), arrays(float, 50, elements=_numbers))
def test_places_are_those_of_a_binary_search(keys, x):
    found = SortedKeys(np.unique(keys))
    with np.errstate(over="ignore"):
        x = np.concatenate([x, keys, np.nextafter(keys, np.inf), np.nextafter(keys, -np.inf)])
    place = found.place(x)
    assert np.array_equal(place, np.searchsorted(found.keys, x))
    assert np.array_equal(found.is_at(place, x), np.isin(x, found.keys))


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy", "lognormal"])
def test_crowded_and_far_keys_do_not_matter(draw):
    rng = np.random.default_rng(0)
    keys, x = np.unique(getattr(rng, draw)(size=5_000)), getattr(rng, draw)(size=20_000)
    far = np.concatenate([keys, keys[-1] + [1e6, 1e12]])
    for some in (keys, far, np.unique(np.concatenate([keys, 1e-9 * keys]))):
        assert np.array_equal(SortedKeys(some).place(x), np.searchsorted(some, x))


def test_a_missing_number_has_a_place_and_is_no_key():
    for keys in (np.arange(3.0), np.arange(1_000.0)):
        found, missing = SortedKeys(keys), np.array([np.nan])
        place = found.place(missing)
        assert 0 <= place[0] <= len(keys)
        assert not found.is_at(place, missing)[0]
