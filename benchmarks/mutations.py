"""Damage to the bytes of a file, as wear, bad software and bad intentions do it; seeded, so that a seed is a file."""

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Callable

__all__ = ["MUTATIONS", "mutate"]

_SELDOM = {"truncate": 0.4, "behead": 0.2, "magic": 0.2}  # of these few get past the first look
_LENGTHS = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**40)
_TOKENS = (
    *(
        b'"',
        b'""',
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b"[[[[[[[[",
        b"{}",
        b",",
        b",,,,,,,,",
        b":",
        b"\n",
        b"\r",
        b"\r\n\r\n",
    ),
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\\",
        b"\\ud800",
        b"\\u0000",
        b"\t",
        b";",
        b"|",
    ),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"9" * 5000, b"0x1F", b"null", b"true", b"2024-02-30", b" "),
    *(b"<a>", b"</row>", b"<!ENTITY x 'y'>", b"<c r='ZZZ1048577'>", b"<row r='4000000000'>", b"&x;", b"#REF!"),
)


def mutate(content: bytes, others: list[bytes], rng: random.Random) -> tuple[bytes, str]:
    """Returns `content` damaged in one to three ways, and their names.

    What lies within a zip or gzip file is, half of the time, damaged inside and packed again with right check sums, for
    else no damage would get past them.
    """
    if content.startswith((b"PK\x03\x04", b"\x1f\x8b")) and rng.random() < 0.5:
        packed, how = (_in_zip if content.startswith(b"PK") else _in_gzip)(content, others, rng)
        return packed, f"inside {how}"
    weights = [_SELDOM.get(name, 1.0) for name in MUTATIONS]
    names = rng.choices(list(MUTATIONS), weights, k=rng.choice((1, 1, 2, 3)))
    for name in names:
        content = MUTATIONS[name](content, others, rng)
    return content, " + ".join(names)


def _in_gzip(content: bytes, others: list[bytes], rng: random.Random) -> tuple[bytes, str]:
    inner, how = mutate(gzip.decompress(content), others, rng)
    return gzip.compress(inner, 1, mtime=0), how


def _in_zip(content: bytes, others: list[bytes], rng: random.Random) -> tuple[bytes, str]:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = rng.choice(names)
        how = ""
        for name in names:
            inner = old.read(name)
            if name == chosen:
                inner, how = mutate(inner, others, rng)
            new.writestr(zipfile.ZipInfo(name), inner, zipfile.ZIP_DEFLATED)  # no date: a seed is a file
    return sink.getvalue(), f"{chosen}: {how}"


def _flip(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 32)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _behead(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    return content[rng.randrange(min(len(content), 64) + 1) :]


def _splice(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Puts a piece of another file over a piece of this one."""
    piece = _piece(rng.choice(others), rng)
    at = rng.randrange(len(content) + 1)
    return content[:at] + piece + content[at + len(piece) :]


def _repeat(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + _piece(content, rng) * rng.choice((1, 2, 50)) + content[at:]


def _cut(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 4, 8, 64, 1000)) :]


def _fill(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    at, count = rng.randrange(len(content) + 1), rng.choice((1, 4, 16, 256))
    return content[:at] + rng.choice((b"\x00", b"\xff", b"\x80", b"A")) * count + content[at + count :]


def _length(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Writes an odd number over 2, 4 or 8 bytes, often near the end, where footers say how long they are."""
    size, order = rng.choice((2, 4, 8)), rng.choice("<>")
    number = struct.pack(order + {2: "H", 4: "I", 8: "Q"}[size], rng.choice(_LENGTHS) % 2 ** (8 * size))
    at = rng.randrange(len(content) + 1)
    if rng.random() < 0.3:
        at = max(0, len(content) - rng.randrange(1, 32))
    if rng.random() < 0.5:
        at -= at % size
    return content[:at] + number + content[at + size :]


def _varint(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    number = b"\xff" * rng.randrange(1, 10) + bytes([rng.choice((0x00, 0x01, 0x7F))])
    at = rng.randrange(len(content) + 1)
    return content[:at] + number + content[at + rng.choice((1, len(number))) :]


def _magic(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Gives the file another's beginning or end, or breaks its own."""
    size = rng.choice((4, 6, 8))
    given = rng.choice((rng.choice(others)[:size], rng.choice(others)[-size:], rng.randbytes(size)))
    return given + content[size:] if rng.random() < 0.5 else content[:-size] + given


def _token(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 10))):
        at, token = rng.randrange(len(content) + 1), rng.choice(_TOKENS)
        content = content[:at] + token + content[at + rng.choice((0, 1, len(token))) :]
    return content


def _piece(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[start : start + rng.choice((1, 4, 16, 64, 512, 4096))]


MUTATIONS: dict[str, Callable[[bytes, list[bytes], random.Random], bytes]] = {
    "flip": _flip,
    "truncate": _truncate,
    "behead": _behead,
    "splice": _splice,
    "repeat": _repeat,
    "cut": _cut,
    "fill": _fill,
    "length": _length,
    "varint": _varint,
    "magic": _magic,
    "token": _token,
}
