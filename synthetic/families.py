"""The registry of generator families; one contract test runs over all of it."""

from synthetic import gaussian_copula, sequential_trees
from synthetic.table import Family

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("gaussian_copula", gaussian_copula.fit, "every column and monotone pairs; no interactions, no rules"),
        Family("sequential_trees", sequential_trees.fit, "most of the structure, from observed values; coarse leaves"),
    )
}
