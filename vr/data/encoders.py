# ruff: noqa: D102  (the Encoder protocol documents what each encoder does)
"""Encoders: from the values of one column to small integers, fitted on the reference.

Code 0 is null in every column. Each encoder also says what a code means (`labels`), and whether the order of its codes
is an order of values (`ordinal`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.core.workers import single_threaded
from vr.data.hashing import dictionary_positions

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "CategoricalEncoder",
    "CyclicEncoder",
    "Encoder",
    "NumericEncoder",
    "TextEncoder",
    "as_strings",
    "text_vectors",
    "to_float",
]

_LOOKUP_CELLS = 65_536
_UNSURE = np.uint16(65_535)
_TEXT_CHARACTERS = 2_000
_TEXT_ROWS = 4_096  # texts turned into vectors at a time


class Encoder(Protocol):
    """One encoded column."""

    @property
    def name(self) -> str:
        """The encoded column's name."""
        ...

    @property
    def source(self) -> str:
        """The dataset's column that it reads."""
        ...

    @property
    def num_codes(self) -> int:
        """How many codes there are, null included."""
        ...

    @property
    def ordinal(self) -> bool:
        """Whether codes rise with the value."""
        ...

    @property
    def labels(self) -> list[str]:
        """What each code means, `num_codes` of them."""
        ...

    def encode(self, values: pa.Array) -> np.ndarray:
        """Returns the codes of `values`, uint16 `[n]` in [0, num_codes)."""
        ...

    def encode_own(self, values: pa.Array) -> np.ndarray:
        """Returns the codes of the very rows it was fitted to, each as if the fit had not seen it.

        Otherwise a reference would never show a category that is not in the reference, where any fresh sample does:
        the share of rows whose value occurs once is what a fresh row is expected to find unseen (Good 1953).
        """
        ...


def to_float(values: pa.Array) -> np.ndarray:
    """Returns numbers, dates and times as float64 `[n]`, null as NaN; times in seconds."""
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    type_ = values.type
    if pa.types.is_date(type_):
        values = values.cast(pa.timestamp("s"))
        type_ = values.type
    if pa.types.is_timestamp(type_) or pa.types.is_time(type_) or pa.types.is_duration(type_):
        ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[type_.unit]
        counts = values.view(pa.int32() if type_.bit_width == 32 else pa.int64()).cast(pa.float64(), safe=False)
        return counts.fill_null(np.nan).to_numpy(zero_copy_only=False) / ticks
    if pa.types.is_null(type_):
        return np.full(len(values), np.nan)
    numbers = values if pa.types.is_float64(type_) else values.cast(pa.float64(), safe=False)
    if numbers.null_count:
        numbers = numbers.fill_null(np.nan)
    return numbers.to_numpy(zero_copy_only=False)


def as_strings(values: pa.Array) -> pa.Array:
    """Returns any plain or dictionary array as a string or dictionary<string> array; whole floats as integers."""
    if isinstance(values, pa.DictionaryArray):
        if pa.types.is_string(values.dictionary.type) or pa.types.is_large_string(values.dictionary.type):
            return values
        return pa.DictionaryArray.from_arrays(values.indices, as_strings(values.dictionary))
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        # 1.0 in one file and 1 in the other are one category; NaN is null, as it is to every encoder.
        numbers = to_float(values)
        whole = (numbers == np.rint(numbers)) & (np.abs(numbers) < 2.0**53)
        as_int = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
        as_float = pa.array(numbers, from_pandas=True).cast(pa.string())
        return pc.if_else(pa.array(whole), as_int, as_float)
    return values if pa.types.is_large_string(values.type) else values.cast(pa.string())


@dataclass(frozen=True)
class NumericEncoder:
    """Quantile bins with bins of their own for null, below range, above range and point masses.

    Codes rise with the value: 0 null, 1 below the reference's range, then the bins, last above the range.

    Attributes:
      edges: float64 ascending; bin i is [edges[i], edges[i + 1]), the first edge is the reference's minimum, the last
        one the next float after its maximum.
      type: Of the column's values where they are dates, times or durations: how labels spell them. Codes do not depend
        on it.
    """

    name: str
    source: str
    edges: np.ndarray = field(repr=False)
    type: pa.DataType | None = field(default=None, repr=False, compare=False)

    @classmethod
    def fit(cls, name: str, source: str, values: np.ndarray, num_bins: int) -> "NumericEncoder":
        """Fits bins to `values` (float64 `[n]`, NaN null, at least one finite value or none at all)."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(name, source, np.array([0.0, np.nextafter(0.0, 1.0)]))
        points, counts = np.unique(finite, return_counts=True)
        top = _next(points[-1])
        if len(points) <= 2 * num_bins:
            # Few values: one bin each, cut half-way between neighbours.
            half = points[:-1] + (points[1:] / 2 - points[:-1] / 2)
            inner = np.where(half > points[:-1], half, points[1:])  # between neighbouring floats there is no half
            return cls(name, source, np.unique(np.concatenate([points[:1], inner, [top]])))
        # A value that holds more than one quantile bin's share gets a bin of its own.
        heavy = counts > len(finite) / num_bins
        masses = points[heavy]
        rest = np.repeat(points[~heavy], counts[~heavy])
        share = len(rest) / len(finite)
        cuts = np.quantile(rest, np.linspace(0, 1, max(2, round(num_bins * share)) + 1), method="inverted_cdf")
        edges = np.concatenate([cuts[1:-1], masses, _next(masses), points[:1], [top]])
        return cls(name, source, np.unique(edges))

    @property
    def num_codes(self) -> int:
        return len(self.edges) + 2

    @property
    def ordinal(self) -> bool:
        return True

    @property
    def labels(self) -> list[str]:
        if self.type is not None and pa.types.is_date(self.type):
            return _day_labels(self.edges)
        spell = _speller(self.type, self.edges)
        bins = []
        for before, low, high in zip([-np.inf, *self.edges], self.edges[:-1], self.edges[1:], strict=False):
            # A bin that follows a point mass begins at the next float, which nobody wants to read.
            begin = f">{spell(before)}" if _next(before) == low else spell(low)
            end = spell(high)
            day, _, clock = end.partition(" ")
            # Within one day the day is said once.
            if clock and begin.startswith(f"{day} ") and self.type is not None and pa.types.is_timestamp(self.type):
                end = clock
            bins.append(begin if _next(low) >= high else f"{begin} to {end}")
        labels = [f"below {spell(self.edges[0])}", *bins, f"above {spell(self.edges[-1])}"]
        zone = " UTC" if ":" in labels[0] and getattr(self.type, "tz", None) else ""
        return ["null", *(label + zone for label in labels)]

    @cached_property
    def _lookup(self) -> tuple[float, np.ndarray] | None:
        """A table from equal-width cells to codes, `_UNSURE` where a cell holds an edge and needs an exact search.

        The cell of a value is a monotone function of it, so a cell without an edge has one code for all its values.
        None where the cells' width or its inverse is no finite number.
        """
        with np.errstate(over="ignore"):
            width = self.edges[-1] - self.edges[0]
            scale = float(_LOOKUP_CELLS / width)
        if not 0 < scale < np.inf:
            return None
        cells = self._cells(self.edges, scale)
        # The code of a cell without an edge: one more than the edges in cells before it.
        table = (1 + np.cumsum(np.bincount(cells, minlength=_LOOKUP_CELLS))).astype(np.uint16)
        table[cells] = _UNSURE
        return scale, table

    def _cells(self, x: np.ndarray, scale: float) -> np.ndarray:
        with np.errstate(over="ignore"):
            cells = x - self.edges[0]
            cells *= scale
        return np.clip(cells, 0, _LOOKUP_CELLS - 1, out=cells).astype(np.intp)

    def encode_floats(self, x: np.ndarray) -> np.ndarray:
        """Returns the codes of `x` (float64 `[n]`, NaN null)."""
        null = np.isnan(x)
        has_null = bool(null.any())
        if has_null:
            x = np.where(null, self.edges[0], x)
        if self._lookup is None:
            codes = self._search(x)
        else:
            scale, table = self._lookup
            codes = table[self._cells(x, scale)]
            # Values beyond the range were clipped into the outermost cells, both of which hold an edge.
            unsure = np.flatnonzero(codes == _UNSURE)
            if len(unsure):
                codes[unsure] = self._search(x[unsure])
        if has_null:
            codes[null] = 0
        return codes

    def _search(self, x: np.ndarray) -> np.ndarray:
        return (1 + np.searchsorted(self.edges, x, side="right")).astype(np.uint16)

    def encode(self, values: pa.Array) -> np.ndarray:
        return self.encode_floats(to_float(values))

    def encode_own(self, values: pa.Array) -> np.ndarray:
        x = to_float(values)
        codes = self.encode_floats(x)
        finite = x[np.isfinite(x)]
        if len(finite):
            # Without itself, a least or greatest value that occurs once lies beyond the range.
            for end, code in ((finite.min(), 1), (finite.max(), self.num_codes - 1)):
                at = np.flatnonzero(x == end)
                if len(at) == 1:
                    codes[at] = code
        return codes


@dataclass(frozen=True)
class CategoricalEncoder:
    """Codes by falling frequency: 0 null, 1..k the categories, k + 1 `other` (rare), k + 2 `unseen`.

    Attributes:
      categories: All categories of the reference by falling frequency (ties by name); the first `kept` have codes.
      kept: At most `repeated`.
      repeated: How many of them occur more than once.
    """

    name: str
    source: str
    categories: tuple[str, ...] = field(repr=False)
    kept: int
    repeated: int

    @classmethod
    def fit(cls, name: str, source: str, values: pa.Array, max_categories: int) -> "CategoricalEncoder":
        """Fits to the strings (or anything printable) of `values`."""
        strings = as_strings(values)
        if isinstance(strings, pa.DictionaryArray):
            strings = strings.dictionary_decode()
        counts = [
            (entry["counts"], entry["values"])
            for entry in pc.value_counts(strings.cast(pa.string())).to_pylist()
            if entry["values"] is not None
        ]
        categories = tuple(value for _, value in sorted(counts, key=lambda item: (-item[0], item[1])))
        repeated = sum(count > 1 for count, _ in counts)
        return cls(name, source, categories, min(repeated, max_categories), repeated)

    @property
    def num_codes(self) -> int:
        return self.kept + 3

    @property
    def ordinal(self) -> bool:
        return False

    @property
    def labels(self) -> list[str]:
        return ["null", *self.categories[: self.kept], "other", "unseen"]

    @cached_property
    def _known(self) -> pa.Array:
        return pa.array(self.categories, pa.string())

    def encode(self, values: pa.Array) -> np.ndarray:
        return self._encode(values, len(self.categories))

    def encode_own(self, values: pa.Array) -> np.ndarray:
        return self._encode(values, self.repeated)

    def _encode(self, values: pa.Array, num_known: int) -> np.ndarray:
        values = as_strings(values)
        if isinstance(values, pa.DictionaryArray):
            of_dictionary = self._encode_plain(values.dictionary, num_known)
            return np.append(of_dictionary, np.uint16(0))[dictionary_positions(values)]
        return self._encode_plain(values, num_known)

    def _encode_plain(self, values: pa.Array, num_known: int) -> np.ndarray:
        found = pc.index_in(values.cast(pa.string()), value_set=self._known)
        index = found.fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.where(index < self.kept, index + 1, self.kept + 1)
        codes = np.where((index < 0) | (index >= num_known), self.kept + 2, codes)
        if values.null_count:
            codes = np.where(values.is_null().to_numpy(zero_copy_only=False), 0, codes)
        return codes.astype(np.uint16)


_PERIODS = {"hour": 24, "weekday": 7, "month": 12}
_PART_NAMES = {
    "hour": [str(hour) for hour in range(24)],
    "weekday": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "month": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
}


@dataclass(frozen=True)
class CyclicEncoder:
    """The hour, weekday or month of a point in time: 0 null, then 1 for the first of the cycle."""

    name: str
    source: str
    part: str

    @property
    def num_codes(self) -> int:
        return 1 + _PERIODS[self.part]

    @property
    def ordinal(self) -> bool:
        return True

    @property
    def labels(self) -> list[str]:
        return ["null", *_PART_NAMES[self.part]]

    def encode(self, values: pa.Array) -> np.ndarray:
        if pa.types.is_date(values.type) or pa.types.is_null(values.type):
            values = values.cast(pa.timestamp("s"))
        if self.part == "hour":
            parts = pc.hour(values)
        elif self.part == "weekday":
            parts = pc.day_of_week(values)
        else:
            parts = pc.subtract(pc.month(values), 1)
        return (parts.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False) + 1).astype(np.uint16)

    def encode_own(self, values: pa.Array) -> np.ndarray:
        return self.encode(values)


@dataclass(frozen=True)
class TextEncoder:
    """Clusters of texts by their hashed character n-grams: 0 null, then the clusters, largest first.

    Attributes:
      centers: float32 `[k, 512]`, unit length.
    """

    name: str
    source: str
    centers: np.ndarray = field(repr=False)

    @classmethod
    def fit(cls, name: str, source: str, values: pa.Array, num_clusters: int, seed: int) -> "TextEncoder":
        """Fits spherical k-means to the texts of `values` (at least one non-null)."""
        from sklearn.cluster import KMeans

        vectors = _text_vectors(_texts(values)).toarray()
        distinct = len(np.unique(vectors.round(5), axis=0))
        # Threads add up in an order of their own, which can move a centre by a rounding error.
        with single_threaded():
            kmeans = KMeans(min(num_clusters, distinct), n_init="auto", random_state=seed)
            sizes = np.bincount(kmeans.fit_predict(vectors))
        centers = kmeans.cluster_centers_[np.argsort(-sizes, kind="stable")]
        norms = np.linalg.norm(centers, axis=1, keepdims=True)
        return cls(name, source, (centers / np.maximum(norms, 1e-12)).astype(np.float32))

    @property
    def num_codes(self) -> int:
        return 1 + len(self.centers)

    @property
    def ordinal(self) -> bool:
        return False

    @property
    def labels(self) -> list[str]:
        return ["null", *(f"cluster {i + 1}" for i in range(len(self.centers)))]

    def encode(self, values: pa.Array) -> np.ndarray:
        values = as_strings(values)
        if isinstance(values, pa.DictionaryArray):
            of_dictionary = self.encode(values.dictionary)
            return np.append(of_dictionary, np.uint16(0))[dictionary_positions(values)]
        codes = np.zeros(len(values), np.uint16)
        valid = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
        for start in range(0, len(valid), _TEXT_ROWS):
            rows = valid[start : start + _TEXT_ROWS]
            # Sparse: each row is summed by itself, so that its code does not depend on the rows around it.
            codes[rows] = 1 + np.argmax(_text_vectors(_texts(values.take(pa.array(rows)))) @ self.centers.T, axis=1)
        return codes

    def encode_own(self, values: pa.Array) -> np.ndarray:
        return self.encode(values)


_UNITS = {"D": 86_400.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def _day_labels(edges: np.ndarray) -> list[str]:
    """Returns labels by the days that fall into each bin, both ends included."""
    days = np.ceil(edges / _UNITS["D"])
    first, last = days[:-1], np.maximum(days[1:] - 1, days[:-1])
    spelt = [[_spell_time(day * _UNITS["D"], "D") for day in side] for side in (first, last)]
    bins = [low if low == high else f"{low} to {high}" for low, high in zip(*spelt, strict=True)]
    return ["null", f"below {spelt[0][0]}", *bins, f"above {spelt[1][-1]}"]


def _speller(type_: pa.DataType | None, edges: np.ndarray) -> Callable[[float], str]:
    """Returns what writes a column's numbers as a person would: seconds as points in time, times of day, durations."""
    if type_ is None or not pa.types.is_temporal(type_):
        return lambda x: f"{x:.4g}"
    if pa.types.is_duration(type_):
        return _spell_duration
    # The coarsest unit that loses nothing, or a fraction of a bin: seconds say little where bins are days wide.
    width = float(np.median(np.diff(edges)))
    whole = np.rint(edges * 1e3) / 1e3
    unit = next((unit for unit, size in _UNITS.items() if width >= 2 * size or not (whole % size).any()), "ms")
    if pa.types.is_time(type_):
        return lambda x: _spell_time(x, "m" if unit == "D" else unit).rpartition("T")[2]
    return lambda x: _spell_time(x, unit).replace("T", " ")


def _spell_time(seconds: float, unit: str) -> str:
    # Rounded first: an edge may lie a float beyond the value that it is made from.
    known = abs(seconds) < 9e15
    return str(np.datetime64(int(np.rint(seconds * 1e3)) if known else "NaT", "ms").astype(f"datetime64[{unit}]"))


def _spell_duration(seconds: float) -> str:
    days, rest = divmod(abs(seconds), _UNITS["D"])
    clock = f"{int(rest // 3_600):02d}:{int(rest // 60 % 60):02d}:{rest % 60:05.2f}".removesuffix(".00")
    return ("-" if seconds < 0 else "") + (f"{days:.0f} d {clock}" if days else clock)


def _next(x: np.ndarray | float) -> np.ndarray:
    """Returns the next greater floats, infinity after the greatest."""
    with np.errstate(over="ignore"):
        return np.nextafter(x, np.inf)


def text_vectors(values: pa.Array) -> np.ndarray:
    """Returns the non-null texts of a column as unit vectors of hashed character n-grams, float32 `[n, 512]`.

    Two texts' product is near 1 where they share nearly all 3- and 4-grams; a text without any is a row of zeros.
    """
    texts = _texts(as_strings(values))
    return _text_vectors(texts).toarray() if texts else np.empty((0, 512), np.float32)


def _texts(values: pa.Array) -> list[str]:
    """Returns the first 2,000 characters of each non-null text: enough to tell kinds of text apart.

    It is also a bound on a hostile cell.
    """
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    return pc.utf8_slice_codeunits(values.drop_null(), 0, _TEXT_CHARACTERS).to_pylist()


def _text_vectors(texts: list[str]) -> "csr_array":
    """Returns unit vectors of hashed character 3- and 4-grams, sparse float32 `[n, 512]`."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), n_features=512, alternate_sign=True)
    return csr_array(vectorizer.transform(texts), dtype=np.float32)
