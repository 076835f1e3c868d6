"""Which device holds what of a tier whose members are stacked: members over one axis, a batch's rows over the other.

    (model, data)    state [J, ...] over `model`; batches [J, s, B] and masks [J, s, d, B] over `model` and `data`

A member's parameters are whole on every device of its row of the mesh; the compiler sums gradients over `data`. The
devices may be those of several processes, each of which makes the members that its own devices hold, and no others.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vr.cascade import hosts
from vr.cascade.agreement import sent
from vr.cascade.step import Segment

__all__ = ["filled", "gathered", "held", "over_members", "placed", "placement", "replicated", "tier_mesh"]

_CHUNK_BYTES = 1 << 26  # of rows sent from process to process at once
_LOG = logging.getLogger(__name__)


def tier_mesh(members: int, batch_rows: int, devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh for so many members: as many along `model` as divide them, the other devices along `data`.

    Devices over which a batch cannot be split evenly are left out. Where that would leave one of several processes
    without any, each of them trains the whole tier on devices of its own.
    """
    if devices is None:
        mesh = tier_mesh(members, batch_rows, jax.devices())
        if len({device.process_index for device in mesh.devices.flat}) == hosts.count():
            return mesh
        _LOG.warning(
            "%d members with batches of %d rows cannot be split over %d processes: each of them trains all",
            members,
            batch_rows,
            hosts.count(),
        )
        return tier_mesh(members, batch_rows, jax.local_devices())
    along_model = math.gcd(members, len(devices))
    along_data = math.gcd(batch_rows, len(devices) // along_model)
    chosen = np.asarray(devices[: along_model * along_data]).reshape(along_model, along_data)
    return Mesh(chosen, ("model", "data"))


def over_members(mesh: Mesh) -> NamedSharding:
    """Returns the placement of what has a member's number for its first axis and nothing else to split."""
    return NamedSharding(mesh, PartitionSpec("model"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the placement of what is whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def placement(mesh: Mesh) -> tuple[NamedSharding, NamedSharding, Segment]:
    """Returns where a training segment's arguments lie: state, data and what the segment draws, members stacked."""
    rows = Segment(
        NamedSharding(mesh, PartitionSpec("model", None, "data")),  # type: ignore[arg-type]
        NamedSharding(mesh, PartitionSpec("model", None, None, "data")),  # type: ignore[arg-type]
    )
    return over_members(mesh), over_members(mesh), rows


def held(mesh: Mesh, members: int) -> list[int]:
    """Returns the members that devices of this process hold."""
    indices = over_members(mesh).addressable_devices_indices_map((members,)).values()
    return sorted({member for index in indices if index for member in range(*index[0].indices(members))})


def filled(own: Iterable[int], draw: Callable[[int], Any], members: int) -> Any:
    """Returns members' trees as one, members first, in NumPy; those not among `own` stay zero, and take no memory."""
    trees = {member: draw(member) for member in own}

    def stacked(*leaves: Any) -> np.ndarray:
        whole = np.zeros((members, *np.shape(leaves[0])), np.asarray(leaves[0]).dtype)
        for member, leaf in zip(trees, leaves, strict=True):
            whole[member] = leaf
        return whole

    return jax.tree.map(stacked, *trees.values())


def placed(tree: Any, shardings: Any) -> Any:
    """Returns stacked NumPy arrays on the devices; of several processes, each looks at the members that it holds.

    Args:
      tree: Arrays, members first.
      shardings: Theirs, or one for each of its branches.
    """

    def place(sharding: NamedSharding, branch: Any) -> Any:
        if sharding.is_fully_addressable:
            return jax.device_put(branch, sharding)
        return jax.tree.map(lambda leaf: jax.make_array_from_callback(leaf.shape, sharding, leaf.__getitem__), branch)

    return jax.tree.map(place, shardings, tree)


def gathered(array: Any, everyone: bool = True) -> np.ndarray:
    """Returns a copy in NumPy of what `placed` has split by members, on every process or, for less, on process 0 alone.

    Every process calls it. Members go from process to process one by one, so that no device has to hold them all.
    """
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.array(array)
    holders: list[set[int]] = [set() for _ in range(len(array))]
    for device, index in array.sharding.devices_indices_map(array.shape).items():
        for member in range(*index[0].indices(len(array))):
            holders[member].add(device.process_index)
    whole = np.zeros(array.shape, array.dtype)
    for first, shard in {shard.index[0].start: shard for shard in array.addressable_shards}.items():
        whole[first : shard.index[0].stop] = shard.data
    readers = set(range(hosts.count())) if everyone else {0}
    wanted = [member for member in range(len(array)) if not readers <= holders[member]]
    for members in _chunks(wanted, [min(each) for each in holders], whole[:1].nbytes):
        found = sent(whole[members], min(holders[members[0]]))
        if hosts.number() in readers:
            whole[members] = found
    return whole


def _chunks(members: Sequence[int], owners: Sequence[int], member_bytes: int) -> list[list[int]]:
    """Returns the members in groups of one owner, none of many bytes."""
    groups: list[list[int]] = []
    for member in members:
        last = groups[-1] if groups else []
        if last and owners[last[0]] == owners[member] and (len(last) + 1) * member_bytes <= _CHUNK_BYTES:
            last.append(member)
        else:
            groups.append([member])
    return groups
