"""Tables that lifelines, river and vega-datasets ship as files; read without importing those packages."""

import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, columns_of, named, number, tidy_table, yes_or_no

__all__ = ["SHELF"]


def _path(package: str, file: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError as err:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package) from err


def _csv(package: str, file: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import pandas

        frame: Any = pandas.read_csv(_path(package, file))
        return columns_of(frame)

    return read


def _read_bananas() -> Raw:
    """Reads lines of `class 1:x 2:y`, the class being 1 or -1."""
    with zipfile.ZipFile(_path("river", "river/datasets/banana.zip")) as archive:
        lines = archive.read("banana.all.txt").decode().splitlines()
    rows = np.array([[float(part.rpartition(":")[2]) for part in line.split()] for line in lines if line.strip()])
    return {"x": rows[:, 1], "y": rows[:, 2], "class": rows[:, 0]}


def _gbsg2(raw: Raw) -> pa.Table:
    return tidy_table(raw, yes=("horTh", "cens"))


def _dd(raw: Raw) -> pa.Table:
    # ctryname, cowcode2, politycode are the country (200 of them in 1,808 rows, and region follows from it); ehead and
    # leaderspellreg name the ruler; un_continent_name follows from un_region_name, democracy from regime.
    drop = ("ctryname", "cowcode2", "politycode", "ehead", "leaderspellreg", "un_continent_name", "democracy")
    return tidy_table(raw, drop=drop, yes=("observed",))


def _phishing(raw: Raw) -> pa.Table:
    # Most columns grade a page as 0, 0.5 or 1: three categories without names.
    flags = ("age_of_domain", "ip_in_url", "is_phishing")
    grades = {0: "0", 1: "0.5", 2: "1"}
    return pa.table({name: yes_or_no(x) if name in flags else named(2 * x, grades) for name, x in raw.items()})


def _image_segments(raw: Raw) -> pa.Table:
    # All of these follow from rawred, rawgreen and rawblue: intensity is their mean, exred = 2 red - green - blue and
    # so on; value, saturation and hue are the same colour in another space (averaged over nine pixels).
    colours = ("intensity", "exred", "exblue", "exgreen", "value", "saturation", "hue")
    return tidy_table(raw, drop=tuple(f"{colour}-mean" for colour in colours))


def _seattle_weather(raw: Raw) -> pa.Table:
    # One row per day; the date is an identifier, its year and its place in the year are not.
    days = raw["date"].astype("U10")
    dates = np.array([day.replace("/", "-") for day in days], dtype="datetime64[D]")
    years = dates.astype("datetime64[Y]")
    parts = {
        "year": number(years.astype(int) + 1970),
        "day_of_year": number((dates - years.astype("datetime64[D]")).astype(int) + 1),
    }
    return tidy_table(raw, drop=("date",), extra=parts)


def _bananas(raw: Raw) -> pa.Table:
    return tidy_table(raw, codes={"class": None})


SHELF = (
    Dataset(
        "gbsg2",
        "lifelines",
        686,
        ("age", "menostat", "progrec", "estrec", "time", "cens"),
        _csv("lifelines", "lifelines/datasets/gbsg2.csv"),
        _gbsg2,
    ),
    Dataset(
        "dd",
        "lifelines",
        1_808,
        ("regime", "start_year", "duration", "observed"),
        _csv("lifelines", "lifelines/datasets/dd.csv"),
        _dd,
    ),
    Dataset(
        "Phishing",
        "river",
        1_250,
        (
            "is_phishing",
            "empty_server_form_handler",
            "age_of_domain",
            "anchor_from_other_domain",
            "request_from_other_domain",
            "https",
        ),
        _csv("river", "river/datasets/phishing.csv.gz"),
        _phishing,
    ),
    Dataset(
        "ImageSegments",
        "river",
        2_310,
        ("category", "region-centroid-col", "region-centroid-row", "vedge-mean", "hedge-mean", "rawgreen-mean"),
        _csv("river", "river/datasets/segment.csv.zip"),
        _image_segments,
    ),
    Dataset("Bananas", "river", 5_300, ("x", "y", "class"), _read_bananas, _bananas),
    Dataset(
        "seattle_weather",
        "vega-datasets",
        1_461,
        ("precipitation", "temp_max", "temp_min", "wind", "weather"),
        _csv("vega-datasets", "vega_datasets/_data/seattle-weather.csv"),
        _seattle_weather,
    ),
)
