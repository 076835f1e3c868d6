"""Tables of statsmodels."""

from collections.abc import Callable

import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, columns_of, from_flags, tidy_table

__all__ = ["SHELF"]


def _statsmodels(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import statsmodels.datasets as shelf

        frame = getattr(shelf, name).load_pandas().data
        return columns_of(frame)

    return read


def _randhie(raw: Raw) -> pa.Table:
    # One row per person and year, persons of a family share the plan; the package has no identifier to split on.
    flags = {"hlthg": "good", "hlthf": "fair", "hlthp": "poor"}
    health = from_flags(raw, flags, "excellent")
    return tidy_table(raw, drop=tuple(flags), yes=("idp",), extra={"health": health})


def _fair(raw: Raw) -> pa.Table:
    work = {1: "student", 2: "manual", 3: "white-collar", 4: "skilled", 5: "managerial", 6: "professional"}
    return tidy_table(raw, codes={"occupation": work, "occupation_husb": work})


def _anes96(raw: Raw) -> pa.Table:
    # logpopul = log(popul + .1).
    return tidy_table(raw, drop=("logpopul",), codes={"vote": {0: "Clinton", 1: "Dole"}})


SHELF = (
    Dataset(
        "randhie",
        "statsmodels",
        20_190,
        ("mdvis", "lncoins", "lpi", "physlm", "disea", "health"),
        _statsmodels("randhie"),
        _randhie,
    ),
    Dataset(
        "fair",
        "statsmodels",
        6_366,
        ("age", "yrs_married", "children", "educ", "occupation"),
        _statsmodels("fair"),
        _fair,
    ),
    Dataset(
        "anes96",
        "statsmodels",
        944,
        ("selfLR", "ClinLR", "PID", "age", "educ", "income", "vote"),
        _statsmodels("anes96"),
        _anes96,
    ),
)
