"""Which device holds what of a tier whose members are stacked: members over one axis, a batch's rows over the other.

    (model, data)    state [J, ...] over `model`; batches [J, s, B] and masks [J, s, d, B] over `model` and `data`

A member's parameters are whole on every device of its row of the mesh; the compiler sums gradients over `data`.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vr.cascade.step import Segment

__all__ = ["over_members", "placement", "tier_mesh"]


def tier_mesh(members: int, batch_rows: int, devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh for so many members: as many along `model` as divide them, the other devices along `data`.

    Devices over which a batch cannot be split evenly are left out.
    """
    devices = jax.devices() if devices is None else devices
    along_model = math.gcd(members, len(devices))
    along_data = math.gcd(batch_rows, len(devices) // along_model)
    chosen = np.asarray(devices[: along_model * along_data]).reshape(along_model, along_data)
    return Mesh(chosen, ("model", "data"))


def over_members(mesh: Mesh) -> NamedSharding:
    """Returns the placement of what has a member's number for its first axis and nothing else to split."""
    return NamedSharding(mesh, PartitionSpec("model"))


def placement(mesh: Mesh) -> tuple[NamedSharding, NamedSharding, Segment]:
    """Returns where a training segment's arguments lie: state, data and what the segment draws, members stacked."""
    rows = Segment(
        NamedSharding(mesh, PartitionSpec("model", None, "data")),  # type: ignore[arg-type]
        NamedSharding(mesh, PartitionSpec("model", None, None, "data")),  # type: ignore[arg-type]
    )
    return over_members(mesh), over_members(mesh), rows
