"""Reads the records of an offline W&B run: a LevelDB log of protobuf messages, after a header of seven bytes."""

import struct
from pathlib import Path

from wandb.proto import wandb_internal_pb2

BLOCK = 32_768
HEADER = struct.Struct("<4sHB")  # ":W&B", magic, version
CHUNK = struct.Struct("<IHB")  # checksum, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

__all__ = ["records"]


def records(path: Path) -> list[wandb_internal_pb2.Record]:
    """Returns all records of a `.wandb` file, in order."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    found, position, pending = [], HEADER.size, b""
    while position + CHUNK.size <= len(content):
        room = BLOCK - position % BLOCK
        if room < CHUNK.size:
            position += room
            continue
        _, length, kind = CHUNK.unpack_from(content, position)
        if kind == 0:
            break
        body = content[position + CHUNK.size : position + CHUNK.size + length]
        position += CHUNK.size + length
        pending = body if kind in (FULL, FIRST) else pending + body
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(pending)
            found.append(record)
    return found
