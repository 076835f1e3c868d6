"""Codecs, samples and profiles as bytes, to be merged elsewhere or later: what comes back is equal to the last bit."""

from typing import Any

import numpy as np
import pyarrow as pa

from vr.data.codec import Codec
from vr.data.encoders import CategoricalEncoder, CyclicEncoder, Encoder, NumericEncoder, TextEncoder
from vr.data.moments import Moments
from vr.data.packed import pack, table_bytes, table_of, unpack
from vr.data.priority import PrioritySample
from vr.data.profile import ROW_SKETCH, VALUE_SKETCH, Profile
from vr.data.sample import RowSample
from vr.data.sketch import BottomK

__all__ = [
    "codec_of",
    "pack_priority",
    "pack_profile",
    "pack_sample",
    "packed_codec",
    "priority_of",
    "profile_of",
    "sample_of",
]

_Arrays = dict[str, np.ndarray]


def packed_codec(codec: Codec) -> bytes:
    """Returns what makes a codec's codes as bytes, the same for codecs that give the same codes.

    Kinds of columns, notes and what labels are spelled by are left out: no profile depends on them.
    """
    header: list[dict[str, Any]] = []
    arrays: _Arrays = {}
    for place, encoder in enumerate(codec.encoders):
        told: dict[str, Any] = {"name": encoder.name, "source": encoder.source}
        match encoder:
            case NumericEncoder():
                told["kind"], arrays[f"numeric{place}"] = "numeric", encoder.edges
            case TextEncoder():
                told["kind"], arrays[f"text{place}"] = "text", encoder.centers
            case CyclicEncoder():
                told |= {"kind": "cyclic", "part": encoder.part}
            case CategoricalEncoder():
                names = pa.table({"category": pa.array(encoder.categories, pa.string())})
                arrays[f"categorical{place}"] = table_bytes(names)
                told |= {"kind": "categorical", "kept": encoder.kept, "repeated": encoder.repeated}
            case _:
                raise TypeError(f"no way to pack a {type(encoder).__name__}")
        header.append(told)
    return pack({"encoders": header}, arrays)


def codec_of(content: bytes) -> Codec:
    """Returns a codec that gives the same codes; it knows its encoders alone."""
    header, arrays = unpack(content)
    encoders: list[Encoder] = []
    for place, told in enumerate(header["encoders"]):
        kind = told.pop("kind")
        if kind == "cyclic":
            encoders.append(CyclicEncoder(**told))
        elif kind == "numeric":
            encoders.append(NumericEncoder(edges=arrays[f"numeric{place}"], **told))
        elif kind == "text":
            encoders.append(TextEncoder(centers=arrays[f"text{place}"], **told))
        else:
            names = table_of(arrays[f"categorical{place}"])["category"].to_pylist()
            encoders.append(CategoricalEncoder(categories=tuple(names), **told))
    return Codec((), tuple(encoders))


def pack_sample(sample: RowSample) -> bytes:
    """Returns a sample as bytes."""
    header, arrays = _sample_parts(sample)
    return pack({"sample": header}, arrays)


def sample_of(content: bytes) -> RowSample:
    """Returns the sample again.

    Raises:
      ValueError: if the bytes are damaged, or no sample.
    """
    header, arrays = unpack(content)
    return _sample(_of(header, "sample"), arrays)


_OF_PRIORITY = ("sizes", "rows", "strata", "wanted", "ranks", "seen", "least", "most", "left_out")


def pack_priority(sample: PrioritySample) -> bytes:
    """Returns a stratified sample as bytes."""
    arrays = {name: getattr(sample, name) for name in _OF_PRIORITY}
    return pack({"priority": {"seed": sample.seed}}, arrays | {"table": table_bytes(sample.table)})


def priority_of(content: bytes) -> PrioritySample:
    """Returns the stratified sample again.

    Raises:
      ValueError: if the bytes are damaged, or no such sample.
    """
    header, arrays = unpack(content)
    seed, table = _of(header, "priority")["seed"], table_of(arrays.pop("table"))
    return PrioritySample(seed=seed, table=table, **arrays)


def pack_profile(profile: Profile) -> bytes:
    """Returns a profile as bytes."""
    header, arrays = _sample_parts(profile.sample)
    names = list(profile.distinct)
    # Sketches of values carry no counts.
    arrays |= {f"distinct{i}": profile.distinct[name].hashes for i, name in enumerate(names)}
    arrays |= {
        "counts": profile.counts,
        "row_hashes": profile.row_sketch.hashes,
        "row_counts": profile.row_sketch.counts,
        "watched": np.packbits(profile.watched),
    }
    told = {
        "rows": profile.rows,
        "nulls": profile.nulls,
        "moments": {
            name: [m.count, m.total, m.total_squares, m.outside, m.infinite, m.low.hex(), m.high.hex()]
            for name, m in profile.moments.items()
        },
        "distinct": names,
        "fingerprint": profile.fingerprint,
        "num_watched": len(profile.watched),
    }
    return pack({"sample": header, "profile": told}, arrays)


def profile_of(content: bytes) -> Profile:
    """Returns the profile again.

    Raises:
      ValueError: if the bytes are damaged, or no profile.
    """
    header, arrays = unpack(content)
    told = _of(header, "profile")
    return Profile(
        rows=told["rows"],
        counts=arrays["counts"],
        nulls=told["nulls"],
        moments={name: _moments(*parts) for name, parts in told["moments"].items()},
        distinct={
            name: BottomK(VALUE_SKETCH, arrays[f"distinct{i}"], np.zeros(len(arrays[f"distinct{i}"]), np.int64))
            for i, name in enumerate(told["distinct"])
        },
        row_sketch=BottomK(ROW_SKETCH, arrays["row_hashes"], arrays["row_counts"]),
        fingerprint=told["fingerprint"],
        sample=_sample(header["sample"], arrays),
        watched=np.unpackbits(arrays["watched"], count=told["num_watched"]).astype(bool),
    )


def _sample_parts(sample: RowSample) -> tuple[dict[str, Any], _Arrays]:
    header = {"k": sample.k, "seed": sample.seed, "bound": int(sample.bound)}
    return header, {
        "sample_rows": sample.rows,
        "sample_hashes": sample.hashes,
        "sample_table": table_bytes(sample.table),
    }


def _sample(header: dict[str, Any], arrays: _Arrays) -> RowSample:
    table, bound = table_of(arrays["sample_table"]), np.uint64(header["bound"])
    return RowSample(header["k"], header["seed"], arrays["sample_rows"], arrays["sample_hashes"], table, bound)


def _moments(count: int, total: int, total_squares: int, outside: int, infinite: int, low: str, high: str) -> Moments:
    return Moments(count, total, total_squares, float.fromhex(low), float.fromhex(high), outside, infinite)


def _of(header: dict[str, Any], kind: str) -> dict[str, Any]:
    if kind not in header:
        raise ValueError(f"is no {kind}")
    return header[kind]
