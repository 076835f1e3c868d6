"""The registry of generator families; one contract test runs over all of it."""

from synthetic import gaussian_copula, gaussian_mixture, independent, kernel_density, sequential_trees
from synthetic.table import Family

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("gaussian_copula", gaussian_copula.fit, "every column and monotone pairs; no interactions, no rules"),
        Family("sequential_trees", sequential_trees.fit, "most of the structure, from observed values; coarse leaves"),
        Family("gaussian_mixture", gaussian_mixture.fit, "clusters and linear dependence; no skew, no rare category"),
        Family("kernel_density", kernel_density.fit, "a jittered copy of the rows; columns drift apart when refitted"),
        Family("independent", independent.fit, "every column on its own; nothing between them"),
    )
}
