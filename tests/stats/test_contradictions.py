import numpy as np
import pytest

from vr.stats.contradictions import fit_contradictions

ORDINAL, NUM_CODES = np.array([False, False, True, False]), np.array([3, 4, 30, 12])


def rows_of(rng, rows=3_000):
    a = rng.integers(0, 3, rows)
    b = np.where(a == 0, rng.integers(0, 2, rows), rng.integers(0, 4, rows))  # 0 goes with 0 and 1 alone
    c = np.clip(10 * a + rng.integers(0, 10, rows), 0, 29)
    return np.column_stack([a, b, c, rng.integers(0, 12, rows)]).astype(np.uint16)


def fitted(codes):
    return fit_contradictions(codes, ORDINAL, NUM_CODES, [[0], [1], [2], [3]], np.arange(4))


def test_the_rarity_of_a_pair_is_its_expected_over_its_seen_rows():
    codes = rows_of(np.random.default_rng(0))
    found = fitted(codes)
    assert [0, 1] in found.pairs.tolist()
    i = found.pairs.tolist().index([0, 1])
    for a in range(3):
        for b in range(4):
            seen = ((codes[:, 0] == a) & (codes[:, 1] == b)).sum()
            expected = (codes[:, 0] == a).sum() * (codes[:, 1] == b).sum() / len(codes)
            assert found.rarity[i][a, b] == pytest.approx(np.log((expected + 0.5) / (seen + 0.5)), abs=1e-5)


def test_a_row_reads_its_rarest_pair_whatever_stands_beside_it():
    rng = np.random.default_rng(1)
    found, fresh = fitted(rows_of(rng)), rows_of(rng, 9_000)
    fresh[0] = [0, 3, 5, 0]  # never together
    fresh[1, 3] = 400  # beyond all codes: as the last
    worst, which = found.read(fresh)
    assert found.pairs[which[0]].tolist() in ([0, 1], [1, 2])
    assert worst[0] > np.quantile(worst, 0.99)
    one_by_one = [found.read(fresh[i : i + 1]) for i in (0, 1, 8_191, 8_192)]
    assert [float(each[0][0]) for each in one_by_one] == worst[[0, 1, 8_191, 8_192]].tolist()
    assert [int(each[1][0]) for each in one_by_one] == which[[0, 1, 8_191, 8_192]].tolist()
    # Against the definition, pair by pair.
    seen = [found.classes[j][np.minimum(fresh[:, j], len(found.classes[j]) - 1)] for j in range(4)]
    every = np.array([table[seen[a], seen[b]] for (a, b), table in zip(found.pairs, found.rarity, strict=True)])
    assert worst == pytest.approx(np.maximum(every.max(axis=0), 0.0))
