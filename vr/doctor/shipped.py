"""What vr was fitted to: whether it can be read, and whether it is what was written."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING

from vr.core.errors import VrError
from vr.doctor.finding import BROKEN, NOTE, OK, Finding

if TYPE_CHECKING:
    from vr.signatures.config import SignaturesConfig

__all__ = ["calibration", "signatures"]

_SITUATIONS = ("trained", "untrained", "trained_for_targets", "untrained_for_targets", "without_reference")
_TRIED, _SAME = 20, 0.999
_AGAIN = "pip install --force-reinstall vr"


def calibration() -> Iterator[Finding]:
    """Yields whether the calibrations of verdict, expected harm and pre-screen are there and whole."""
    from vr.detector.calibration import load_calibration
    from vr.detector.harm import load_harm_model
    from vr.signatures.prescreen import load_prescreen

    path = files("vr.detector").joinpath("calibration.json")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found, screen = load_calibration(), load_prescreen()
        for of_targets in (False, True):
            load_harm_model(of_targets=of_targets)
    except (OSError, ValueError, KeyError, TypeError) as err:
        yield Finding("calibration", BROKEN, f"cannot be read ({type(err).__name__}: {err})", _AGAIN)
        return
    values = {
        "version": found.version,
        "prescreen": screen.version,
        "sha256": digest,
        "situations": sorted(found.heads),
    }
    missing = [name for name in _SITUATIONS if name not in found.heads]
    if missing:
        yield Finding("calibration", BROKEN, f"has no head for {', '.join(missing)}", _AGAIN, values)
        return
    said = f"{found.version}, {len(found.heads)} situations, sha256 {digest[:12]}; pre-screen {screen.version}"
    yield Finding("calibration", OK, said, None, values)


def signatures(config: "SignaturesConfig") -> Iterator[Finding]:
    """Yields whether the library of signatures can be searched, every signature's digest that of its contents."""
    from vr.signatures.document import check_shipped
    from vr.signatures.library import open_library

    try:
        if config.shipped:
            check_shipped()
        library = open_library(config)
        own = library.signatures
        # Each is as like as can be to itself, or the index is not that of these signatures.
        nearest = [library.match(each.fingerprint, 1)[0].similarity for each in own[:_TRIED]]
    except VrError as err:
        yield Finding("signatures", BROKEN, str(err), None)
        return
    values = {
        "signatures": len(own),
        "digest": library.digest,
        "damaged": list(library.damaged),
        "lost": library.lost,
        "generation": library.generation,
    }
    said = f"{len(own)}, every digest right, library {library.digest[:12]}"
    if nearest and min(nearest) < _SAME:
        yield Finding("signatures", BROKEN, "the index does not find what is in it", _AGAIN, values)
    elif library.damaged or library.lost:
        said = f"{said}; {len(library.damaged)} damaged and {library.lost} missing are left out"
        yield Finding("signatures", NOTE, said, "vr signatures import of the last export brings them back", values)
    else:
        yield Finding("signatures", OK, said, None, values)
