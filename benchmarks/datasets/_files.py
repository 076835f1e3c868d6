"""Tables that lifelines, river and vega-datasets ship as files; read without importing those packages."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, columns_of, number, tidy_table

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


def _gbsg2(raw: Raw) -> pa.Table:
    return tidy_table(raw, yes=("horTh", "cens"))


def _dd(raw: Raw) -> pa.Table:
    # ctryname, cowcode2, politycode are the country (200 of them in 1,808 rows, and region follows from it); ehead and
    # leaderspellreg name the ruler; un_continent_name follows from un_region_name, democracy from regime.
    drop = ("ctryname", "cowcode2", "politycode", "ehead", "leaderspellreg", "un_continent_name", "democracy")
    return tidy_table(raw, drop=drop, yes=("observed",))


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
        "ImageSegments",
        "river",
        2_310,
        ("category", "region-centroid-col", "region-centroid-row", "vedge-mean", "hedge-mean", "rawgreen-mean"),
        _csv("river", "river/datasets/segment.csv.zip"),
        _image_segments,
    ),
    Dataset(
        "seattle_weather",
        "vega-datasets",
        1_461,
        ("precipitation", "temp_max", "temp_min", "wind", "weather"),
        _csv("vega-datasets", "vega_datasets/_data/seattle-weather.csv"),
        _seattle_weather,
    ),
)
