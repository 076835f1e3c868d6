"""Keeping a training: at its own pace, nothing twice, and gone once it is over."""

import numpy as np
import pytest

from vr.cascade.checkpoint import Checkpoints
from vr.cascade.keeping import TimedKeeper, kept_in
from vr.cascade.training import Kept


def kept(segments):
    return Kept(
        {"a": np.arange(3.0, dtype=np.float32)},
        np.zeros((1, 20)),
        np.zeros((1, 40)),
        np.zeros((1, 20, 2)),
        np.array([segments]),
    )  # type: ignore[arg-type]


def test_a_state_without_a_new_segment_is_not_saved_again(tmp_path):
    # As after an interruption between two segments.
    with Checkpoints(tmp_path / "kept", "me") as checkpoints:
        keeper = TimedKeeper(checkpoints, 0.0)
        keeper.keep(kept(3))
        keeper.keep(kept(3))
        assert keeper.restore(kept(0)).segments.tolist() == [3]
        keeper.keep(kept(3))
        keeper.keep(kept(4))
        assert keeper.restore(kept(0)).segments.tolist() == [4]


def test_what_was_kept_is_removed_once_the_training_is_over_and_stays_where_it_was_stopped(tmp_path):
    folder = tmp_path / "kept"

    def stopped():
        with kept_in(folder, "me", 0.0) as keeper:
            keeper.keep(kept(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with kept_in(folder, "me", 0.0) as keeper:
        assert keeper.restore(kept(0)).segments.tolist() == [2]
    assert not folder.exists()
    with kept_in(None, "me", 0.0) as keeper:
        assert keeper is None
