"""What is kept or sent comes back equal to the last bit, and what is damaged does not come back."""

import importlib.metadata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_profile import PROFILER, ROW, assert_same, large_table, profiler_of, table_of, whole_of
from vr.core.installed import version_of
from vr.data.packed import digest_of, pack, unpack
from vr.data.portable import codec_of, pack_profile, pack_sample, packed_codec, profile_of, sample_of
from vr.data.profile import merge
from vr.data.sample import TOP, RowSample, bound_for
from vr.data.work import ProfileWork, SampleWork, work_of


@given(st.lists(ROW, max_size=40))
@settings(max_examples=12)
def test_a_profile_comes_back_equal(rows):
    whole = whole_of(table_of(rows))
    again = profile_of(pack_profile(whole))
    assert_same(again, whole)
    np.testing.assert_array_equal(again.watched, whole.watched)
    assert pack_profile(again) == pack_profile(whole)
    # What comes back is merged like what never left.
    assert_same(merge(again, whole), merge(whole, whole))


def test_a_codec_comes_back_with_the_same_codes():
    texts = [f"the {i % 7} quick brown foxes jumped over {i} lazy dogs at once" for i in range(200)]
    table = large_table(200).append_column("text", pa.array(texts))
    codec = profiler_of(table, types={"text": "text", "name": "categorical"}).codec
    again = codec_of(packed_codec(codec))
    assert packed_codec(again) == packed_codec(codec)
    assert again.sources == codec.sources
    np.testing.assert_array_equal(again.encode(table).codes, codec.encode(table).codes)


def test_work_comes_back_with_the_same_digest():
    for work in (ProfileWork(PROFILER), SampleWork(["a", "ü"], 10, 3, np.uint64(2**63))):
        again = work_of(work.packed())
        assert again.digest == work.digest
        assert again.packed() == work.packed()


def test_a_digest_does_without_a_package_and_knows_its_versions(monkeypatch, request):
    """Only texts ask for scikit-learn; a state without it is none of a run with it, whose clusters may differ."""

    installed = importlib.metadata.version
    request.addfinalizer(version_of.cache_clear)

    def digest_with(found):
        def version(name):
            if name == "scikit-learn" and found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return found if name == "scikit-learn" else installed(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        version_of.cache_clear()
        return SampleWork(["a"], 10, 3).digest

    whole = SampleWork(["a"], 10, 3).digest
    assert digest_with(installed("scikit-learn")) == whole
    assert len({whole, digest_with(None), digest_with("0.1")}) == 3


def test_a_damaged_state_is_no_state():
    content = bytearray(pack_profile(whole_of(table_of([(0.5, 1, "a", "p", True, None, None, None)] * 9))))
    # The zip's own directory lies at the end.
    for at in [*np.linspace(0, len(content) - 1, 60).astype(int), *range(len(content) - 300, len(content))]:
        damaged = content.copy()
        damaged[at] ^= 0xFF
        try:
            again = profile_of(bytes(damaged))
        except ValueError:
            continue
        # A byte that nobody reads, in the zip's own bookkeeping.
        assert pack_profile(again) == bytes(content)
    with pytest.raises(ValueError):
        profile_of(bytes(content[:-30]))
    with pytest.raises(ValueError, match="no sample"):
        sample_of(pack({}, {}))


def test_a_digest_depends_on_every_part():
    arrays = {"x": np.arange(3), "y": np.zeros(2)}
    seen = {
        digest_of(header, each)
        for header in ({}, {"a": 1}, {"a": 2**70})
        for each in (
            arrays,
            {"x": arrays["y"], "y": arrays["x"]},
            {"x": np.arange(3, dtype=np.int32), "y": np.zeros(2)},
        )
    }
    assert len(seen) == 9
    assert unpack(pack({"a": 2**70}, arrays))[0] == {"a": 2**70}


@given(st.integers(1, 2_000), st.integers(1, 50), st.integers(1, 6))
@settings(max_examples=30)
def test_bounded_samples_of_parts_merge_to_the_sample(num_rows, k, num_parts):
    batch = pa.RecordBatch.from_pydict({"x": np.arange(num_rows)})
    whole = RowSample.of(batch, 0, k, 5)
    bound = bound_for(k, num_rows)
    cuts = np.linspace(0, num_rows, num_parts + 1).astype(int)
    parts = [
        RowSample.of(batch.slice(a, b - a), int(a), k, 5, bound=bound) for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]
    merged = sample_of(pack_sample(parts[0])).merge(*parts[1:])
    assert merged.is_complete
    np.testing.assert_array_equal(merged.rows, whole.rows)
    assert merged.table["x"].to_pylist() == whole.table["x"].to_pylist()


def test_a_bound_too_low_is_found_out():
    batch = pa.RecordBatch.from_pydict({"x": np.arange(1_000)})
    low = RowSample.of(batch, 0, 50, 5, bound=np.uint64(2**55))
    assert len(low.rows) < 50
    assert not low.is_complete
    # Enough rows together, some of which would not be among the least of all.
    other = RowSample.of(batch, 1_000, 50, 5)
    assert len(low.merge(other).rows) == 50
    assert not low.merge(other).is_complete
    assert bound_for(50, 50) == bound_for(50, 0) == TOP


def test_bounded_parts_hold_little_more_than_the_sample():
    batch = pa.RecordBatch.from_pydict({"x": np.arange(100_000)})
    parts = [RowSample.of(batch, 100_000 * i, 2_000, 0, bound=bound_for(2_000, 400_000)) for i in range(4)]
    assert 2_000 <= sum(len(part.rows) for part in parts) < 3_200
