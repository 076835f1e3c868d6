"""Signatures as a JSON document, for exchange and for those that vr ships: text, so that nothing in it can run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vr.core.errors import DataError
from vr.signatures.components import NAMES, VERSION
from vr.signatures.signature import Signature

__all__ = ["Collection", "check_shipped", "load_shipped", "read_document", "to_text"]

FORMAT = 1
_MOST_BYTES = 256 << 20
_MOST_SIGNATURES = 200_000
_SHIPPED = "vr/signatures/shipped.json"


@dataclass(frozen=True)
class Collection:
    """Signatures and where they come from."""

    signatures: tuple[Signature, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def to_text(signatures: Sequence[Signature], provenance: Mapping[str, Any]) -> str:
    """Returns the document, one signature a line, so that two versions of it can be compared line by line."""
    head = {"format": FORMAT, "fingerprint": {"version": VERSION, "names": NAMES}, "provenance": dict(provenance)}
    lines = [json.dumps(each.to_document(), separators=(",", ":"), allow_nan=False) for each in signatures]
    text = json.dumps(head, indent=1, allow_nan=False).rstrip("}").rstrip()
    return f'{text},\n "signatures": [\n' + ",\n".join(lines) + "\n]}\n"


def read_document(path: Path) -> Collection:
    """Returns the signatures of a file that anybody may have written.

    Raises:
      DataError: It cannot be read, is no such document, or one of its signatures is damaged.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as err:
        raise DataError(f"cannot be read ({err.strerror or err})", where=str(path)) from err
    if len(content) > _MOST_BYTES:
        raise DataError(f"is larger than {_MOST_BYTES >> 20} MiB", where=str(path), hint="import it in parts")
    return parse(content, str(path))


def parse(content: bytes, where: str) -> Collection:
    """Returns the signatures of a document's text.

    Raises:
      DataError: see `read_document`.
    """
    found, provenance = _opened(content, where)
    signatures = [Signature.from_document(each, f"{where}: signatures[{i}]") for i, each in enumerate(found)]
    return Collection(tuple(signatures), provenance)


def _opened(content: bytes, where: str) -> tuple[list[Any], dict[str, Any]]:
    """Returns the signatures' documents and where they come from, the document as a whole checked."""
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as err:
        raise DataError(f"is no JSON ({type(err).__name__})", where=where, hint="give what export wrote") from err
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"is no document of signatures of format {FORMAT}", where=where, hint="give what export wrote")
    told = document.get("fingerprint")
    if not isinstance(told, dict) or told.get("version") != VERSION or told.get("names") != list(NAMES):
        raise DataError(
            f"has fingerprints of another kind than version {VERSION}", where=where, hint="make them again with this vr"
        )
    found, provenance = document.get("signatures"), document.get("provenance", {})
    if not isinstance(found, list) or not isinstance(provenance, dict):
        raise DataError("has no list of signatures", where=where)
    if len(found) > _MOST_SIGNATURES:
        raise DataError(f"has more than {_MOST_SIGNATURES:,} signatures", where=where, hint="import it in parts")
    return found, provenance


@cache
def load_shipped() -> Collection:
    """Returns the signatures that the package ships, which `experiments/fit_signatures.py` makes.

    Each is taken as it is, which `check_shipped` does not.

    Raises:
      DataError: The file as a whole is no document of signatures.
    """
    found, provenance = _opened(_shipped(), _SHIPPED)
    try:
        return Collection(tuple(map(Signature.of_own, found)), provenance)
    except (TypeError, KeyError) as err:
        raise DataError(f"is damaged ({type(err).__name__}: {err})", where=_SHIPPED, hint="install vr again") from err


def check_shipped() -> None:
    """Reads the shipped signatures as anybody's.

    Raises:
      DataError: One of them is damaged.
    """
    parse(_shipped(), _SHIPPED)


def _shipped() -> bytes:
    return files("vr.signatures").joinpath("shipped.json").read_bytes()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
