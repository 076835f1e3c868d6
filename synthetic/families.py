"""The registry of generator families; one contract test runs over all of it."""

import pyarrow as pa

from synthetic import (
    bayesian_network,
    gaussian_copula,
    gaussian_mixture,
    independent,
    kernel_density,
    neighbour_interpolation,
    sequential_trees,
)
from synthetic.table import Family, Generator

__all__ = ["FAMILIES"]


# The networks load jax, which takes longer than most other families take to fit: only who fits one pays for it.
def _fit_autoencoder(table: pa.Table, key: int) -> Generator:
    from synthetic import variational_autoencoder

    return variational_autoencoder.fit(table, key)


def _fit_autoregressive(table: pa.Table, key: int) -> Generator:
    from synthetic import autoregressive_network

    return autoregressive_network.fit(table, key)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("gaussian_copula", gaussian_copula.fit, "every column and monotone pairs; no interactions, no rules"),
        Family("sequential_trees", sequential_trees.fit, "most of the structure, from observed values; coarse leaves"),
        Family("gaussian_mixture", gaussian_mixture.fit, "clusters and linear dependence; no skew, no rare category"),
        Family("kernel_density", kernel_density.fit, "a jittered copy of the rows; columns drift apart when refitted"),
        Family("bayesian_network", bayesian_network.fit, "every column and a tree of pairs; nothing beyond the tree"),
        Family(
            "neighbour_interpolation", neighbour_interpolation.fit, "what is smooth locally; no outer skin, no gaps"
        ),
        Family("variational_autoencoder", _fit_autoencoder, "a few latent directions; no rare category, no fine rule"),
        Family("autoregressive_network", _fit_autoregressive, "most of the structure, in bins; smooths what is rare"),
        Family("independent", independent.fit, "every column on its own; nothing between them"),
    )
}
