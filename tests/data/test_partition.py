"""Plans of partitions: every row once, in order, and little changes where files are appended."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vr.data.partition import Part, Partition, plan, rows_at_most

FILES = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6), max_size=12)


def rows_of(partitions: list[Partition], files: list[list[int]]) -> list[tuple[int, int]]:
    """File and row group of every row, as the partitions read them."""
    found = []
    for partition in partitions:
        assert partition.rows > 0
        assert partition.row_start == len(found)
        for part in partition.parts:
            first, stop = part.groups or (0, len(files[part.file]))
            before = len(found)
            found += [(part.file, group) for group in range(first, stop) for _ in range(files[part.file][group])]
            assert len(found) - before == part.rows
    return found


@settings(max_examples=40)
@given(FILES, st.integers(1, 100))
def test_every_row_is_in_one_partition(files, most):
    partitions = plan(files, most)
    assert rows_of(partitions, files) == [
        (place, group) for place, groups in enumerate(files) for group, rows in enumerate(groups) for _ in range(rows)
    ]
    for partition in partitions:
        # Longer only where there is nothing to cut.
        (part, *others) = partition.parts
        first, stop = part.groups or (0, len(files[part.file]))
        cuttable = sum(rows > 0 for rows in files[part.file][first:stop]) > 1
        assert partition.rows <= most or (not others and not cuttable)


@settings(max_examples=40)
@given(FILES, FILES, st.integers(1, 100))
def test_appended_files_change_no_partition_but_the_last(files, more, most):
    before, after = plan(files, most), plan(files + more, most)
    assert after[: max(0, len(before) - 1)] == before[:-1]


@settings(max_examples=40)
@given(FILES, FILES, st.integers(1, 100))
def test_a_kept_partition_stays_as_it_was(files, more, most):
    before = plan(files, most)
    ends = {
        (p.parts[0].file, p.row_start): p.parts[-1].file + 1 for p in before if all(x.groups is None for x in p.parts)
    }
    after = plan(files + more, most, lambda file, row_start: ends.get((file, row_start), file))
    assert after[: len(before)] == before
    rows_of(after, files + more)


def test_a_plan_is_linear_in_the_files_that_one_partition_holds():
    class Rows(int):
        added = 0

        def __radd__(self, other):
            Rows.added += 1
            return Rows(int(self) + int(other))

        __add__ = __radd__

    (partition,) = plan([[Rows(1)] for _ in range(1_000)], 1 << 20)
    assert len(partition.parts) == 1_000
    assert Rows.added < 20_000


def test_small_files_are_put_together_and_large_ones_cut_evenly():
    assert plan([[3], [3], [3], [25, 25, 25, 25]], 60) == [
        Partition((Part(0, None, 3), Part(1, None, 3), Part(2, None, 3)), 0),
        Partition((Part(3, (0, 2), 50),), 9),
        Partition((Part(3, (2, 4), 50),), 59),
    ]


def test_wide_tables_have_shorter_partitions():
    assert rows_at_most(0, 2_000) < rows_at_most(0, 20) < rows_at_most(0, 1)
    assert rows_at_most(5, 20) == 5
