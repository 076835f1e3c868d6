"""What sets the families apart from each other: one claim of each module's head."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kurtosis, spearmanr

from synthetic import gaussian_copula, gaussian_mixture, kernel_density, sequential_trees
from synthetic.table import derive_key, stream


def bivariate(n: int = 4000, rho: float = 0.8) -> pa.Table:
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
    return pa.table({"a": np.exp(x[:, 0]), "b": x[:, 1] ** 3})


def test_copula_recovers_the_latent_correlation_under_any_marginals():
    generator = gaussian_copula.fit(bivariate(), 0)
    assert generator.factor[1, 0] == pytest.approx(0.8, abs=0.02)
    made = generator.sample(4000, 1)
    # Spearman's rho of a Gaussian copula: 6 / pi asin(rho / 2).
    assert spearmanr(made["a"], made["b"]).statistic == pytest.approx(6 / np.pi * np.arcsin(0.4), abs=0.03)


def test_copula_forgets_an_interaction_that_trees_keep():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 2000))
    table = pa.table({"a": a == 1, "b": b == 1, "xor": (a ^ b) == 1})

    def share_right(made: pa.Table) -> float:
        a, b, xor = (made[name].to_numpy(zero_copy_only=False) for name in ("a", "b", "xor"))
        return float(np.mean((a ^ b) == xor))

    assert share_right(gaussian_copula.fit(table, 0).sample(2000, 1)) < 0.56
    assert share_right(sequential_trees.fit(table, 0).sample(2000, 1)) == 1.0


def test_trees_only_repeat_observed_values():
    table = bivariate(300)
    made = sequential_trees.fit(table, 0).sample(1000, 1)
    assert set(made["b"].to_pylist()) <= set(table["b"].to_pylist())


def test_trees_with_one_leaf_are_independent():
    made = sequential_trees.fit(bivariate(500), 0, min_leaf=500).sample(4000, 1)
    assert abs(spearmanr(made["a"], made["b"]).statistic) < 0.06


def test_mixture_finds_clusters():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-10, 1, 500), rng.normal(10, 1, 500)])
    made = gaussian_mixture.fit(pa.table({"x": x}), 0, num_components=2).sample(4000, 1)["x"].to_numpy()
    assert np.mean(np.abs(made) < 5) < 0.01
    # Two spikes: the kurtosis of the pair, not of a normal.
    assert kurtosis(made) == pytest.approx(kurtosis(x), abs=0.1)


def test_kernel_density_widens_by_its_bandwidth():
    table = pa.table({"x": np.random.default_rng(0).normal(size=2000), "end": np.r_[-50.0, 50.0, np.zeros(1998)]})
    generator = kernel_density.fit(table, 0)
    made = generator.sample(20_000, 1)["x"].to_numpy()
    x = table["x"].to_numpy()
    assert generator.bandwidth[0] == pytest.approx(x.std() * (1 / 2000) ** (1 / 6))
    # A little less, for what falls beyond the observed range is clipped.
    assert np.var(made) == pytest.approx(np.var(x) + generator.bandwidth[0] ** 2, rel=0.03)


@pytest.mark.parametrize(
    ("fit", "option"),
    [
        (sequential_trees.fit, {"min_leaf": 0}),
        (gaussian_mixture.fit, {"num_components": 0}),
        (kernel_density.fit, {"redraw": 2.0}),
    ],
)
def test_settings_out_of_range_are_refused(fit, option):
    with pytest.raises(ValueError, match="must be"):
        fit(bivariate(50), 0, **option)


def test_streams_differ_by_name_and_key_and_repeat():
    assert derive_key(1, "fit", 2) == derive_key(1, "fit", 2)
    assert (
        len({derive_key(1, "fit", 2), derive_key(1, "fit", 3), derive_key(1, "sample", 2), derive_key(2, "fit", 2)})
        == 4
    )
    assert stream(3, "a").random() != stream(3, "b").random()
    with pytest.raises(ValueError, match="key"):
        stream(-1)
