import numpy as np
import pyarrow as pa
import pytest

from synthetic.families import FAMILIES
from synthetic.lineage import lineage


class Echo:
    """A family whose rows say so: x is -1, which no real row has."""

    name, summary = "echo", ""

    def __init__(self):
        self.fitted = []

    def fit(self, table, key):
        self.fitted.append(table)
        return self

    def sample(self, n, key, temperature=1.0):
        made = self.fitted[0].take(np.zeros(n, int))
        return made.set_column(0, "x", pa.array(np.full(n, -1.0)))


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(0)
    x = rng.random(200)
    kind = pa.array(rng.choice(["a", "b"], 200)).dictionary_encode()
    return pa.table({"x": x, "y": x + 0.3 * rng.random(200), "kind": kind})


def num_real(table):
    return int((table["x"].to_numpy() >= 0).sum())


def test_replace_keeps_size_and_schema(real):
    made = list(lineage(real, "gaussian_copula", 3, 0))
    assert [table.num_rows for table in made] == [200, 200, 200]
    assert all(table.schema == real.schema for table in made)
    assert num_real(next(lineage(real, Echo(), 1, 0))) == 0


def test_each_generation_is_fitted_to_the_last(real):
    family = Echo()
    made = list(lineage(real, family, 3, 0))
    assert family.fitted[0] is real
    assert family.fitted[1] is made[0]
    assert family.fitted[2] is made[1]


def test_accumulate_holds_the_real_rows_and_all_generations(real):
    made = list(lineage(real, "gaussian_copula", 3, 0, "accumulate"))
    assert [table.num_rows for table in made] == [400, 600, 800]
    assert made[2].slice(0, 200).to_pydict() == real.to_pydict()
    assert made[2].slice(0, 600).to_pydict() == made[1].to_pydict()


def test_accumulate_fits_as_many_rows_as_at_the_start_out_of_all(real):
    family = Echo()
    made = list(lineage(real, family, 12, 0, "accumulate"))
    assert made[-1].num_rows == 13 * 200
    assert [table.num_rows for table in family.fitted] == [200] * 12
    assert num_real(family.fitted[11]) == pytest.approx(200 / 12, abs=12)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_mix_has_its_share_of_real_rows(real, share):
    for table in lineage(real, Echo(), 2, 0, "mix", share):
        assert table.num_rows == 200
        assert num_real(table) == round(share * 200)


def test_a_generation_does_not_depend_on_how_many_follow(real):
    short, long = list(lineage(real, "kernel_density", 1, 5)), list(lineage(real, "kernel_density", 3, 5))
    assert short[0].equals(long[0])
    assert not long[0].equals(next(lineage(real, "kernel_density", 1, 6)))


@pytest.mark.parametrize("name", sorted(FAMILIES))
@pytest.mark.parametrize(("workflow", "share"), [("replace", 0.0), ("mix", 0.1)])
def test_every_family_survives_sixteen_generations(name, workflow, share, mixed):
    # One column of each kind, few rows: levels and missing values die out on the way.
    start = mixed.slice(0, 60).select(["x", "y", "grade", "kind"])
    made = list(lineage(start, name, 16, 0, workflow, share))
    assert len(made) == 16
    assert all(table.schema == start.schema for table in made)
    assert made[-1].num_rows == 60
    assert set(made[-1]["kind"].to_pylist()) <= set(start["kind"].to_pylist())


def test_refitting_loses_what_the_family_cannot_hold(real):
    made = list(lineage(real, "independent", 1, 0))
    assert abs(np.corrcoef(made[0]["x"], made[0]["y"])[0, 1]) < 0.2 < np.corrcoef(real["x"], real["y"])[0, 1]


@pytest.mark.parametrize(
    "arguments",
    [{"generations": 0}, {"workflow": "other"}, {"real_share": 0.2}, {"workflow": "mix", "real_share": 1.2}],
)
def test_arguments_out_of_range_are_refused_at_the_call(real, arguments):
    with pytest.raises(ValueError, match="must be"):
        lineage(real, "independent", **{"generations": 1, "key": 0, **arguments})


def test_unknown_family_is_named(real):
    with pytest.raises(KeyError, match="other"):
        lineage(real, "other", 1, 0)
