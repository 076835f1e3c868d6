"""What the machine gives: cores, memory, descriptors, disk and time, each as far as this process may have it."""

import ctypes
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from vr.doctor.finding import BROKEN, NOTE, OK, Finding

__all__ = ["clock", "cores", "descriptors", "folders", "memory", "memory_limit", "python", "quota"]

# Peaks of `python -m benchmarks.validate_latency`: 0.4 GB for statistics alone, 1.0 to 1.4 GB where proxies train.
_LEAST_BYTES, _EASY_BYTES = 512 << 20, 1_536 << 20
_LEAST_DISK, _EASY_DISK = 64 << 20, 1 << 30
# Files are read by a process that may have 256 of them, see vr/data/isolation; a server has one for each connection.
_LEAST_FILES, _EASY_FILES = 256, 1_024
_LEAST_PYTHON = (3, 11)
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_CGROUPS = Path("/sys/fs/cgroup")
# What version 1 of control groups says where nothing is limited, less a page or so.
_NO_LIMIT = 1 << 62


def python() -> Iterator[Finding]:
    """Yields what runs vr."""
    from vr import __version__

    place = str(Path(__file__).resolve().parents[1])
    values = {"python": platform.python_version(), "vr": __version__, "system": platform.platform(), "place": place}
    said = f"{platform.python_version()} ({platform.python_implementation()}) on {platform.system()}"
    said = f"{said} {platform.machine()}, vr {__version__} in {place}"
    if sys.version_info < _LEAST_PYTHON:
        yield Finding("python", BROKEN, said, "vr needs Python 3.11 or newer", values)
        return
    yield Finding("python", OK, said, None, values)


def cores() -> Iterator[Finding]:
    """Yields how many cores there are, and how many of them this process may use."""
    total = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    share = quota()
    values = {"cores": total, "allowed": allowed, "quota": share, "load": round(os.getloadavg()[0], 2)}
    least = min(float(allowed), share or float(allowed))
    said = f"{total}, load {values['load']:g}"
    if least < total:
        # Everything that counts cores would start a thread for each of them.
        count = max(1, int(least))
        yield Finding("cores", NOTE, f"{said}, of which {least:g} may be used", f"set engine.threads={count}", values)
        return
    yield Finding("cores", OK, said, None, values)


def quota(root: Path = _CGROUPS) -> float | None:
    """Returns how many cores' time the control group may use; None where it is not limited."""
    if (text := _read(root / "cpu.max")) is not None:
        most, _, period = text.partition(" ")
        return None if most == "max" else int(most) / int(period)
    most, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    return None if most is None or period is None or int(most) < 0 else int(most) / int(period)


def memory() -> Iterator[Finding]:
    """Yields how much memory this process may still take."""
    total, free = _system_memory()
    limit, used = memory_limit()
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    left = [free, *([] if limit is None else [limit - used])]
    if soft != resource.RLIM_INFINITY:
        left.append(soft)
    available = max(0, min(left))
    values = {
        "total_bytes": total,
        "free_bytes": free,
        "cgroup_bytes": limit,
        "address_space_bytes": None if soft == resource.RLIM_INFINITY else soft,
        "available_bytes": available,
    }
    said = f"{_gib(available)} free of {_gib(total if limit is None else min(limit, total))}"
    said += " (control group)" if limit is not None and limit < total else ""
    if available < _LEAST_BYTES:
        yield Finding("memory", BROKEN, said, f"a validation without training takes {_gib(_LEAST_BYTES)}", values)
    elif available < _EASY_BYTES:
        hint = f"training proxies takes up to {_gib(_EASY_BYTES)}; cascade=none takes {_gib(_LEAST_BYTES)}"
        yield Finding("memory", NOTE, said, hint, values)
    else:
        yield Finding("memory", OK, said, None, values)


def memory_limit(root: Path = _CGROUPS) -> tuple[int | None, int]:
    """Returns the control group's limit in bytes, None where there is none, and what it uses of it.

    What it only keeps of files, and would give up, does not count as used.
    """
    if (text := _read(root / "memory.max")) is not None:
        used, statistics, cached = _read(root / "memory.current"), root / "memory.stat", "inactive_file"
    elif (text := _read(root / "memory/memory.limit_in_bytes")) is not None:
        used, statistics = _read(root / "memory/memory.usage_in_bytes"), root / "memory/memory.stat"
        cached = "total_inactive_file"
    else:
        return None, 0
    if text == "max" or int(text) >= _NO_LIMIT:
        return None, 0
    lines = (line.split() for line in (_read(statistics) or "").splitlines())
    kept = sum(int(line[1]) for line in lines if line[0] == cached)
    return int(text), max(0, int(used or 0) - kept)


def descriptors() -> Iterator[Finding]:
    """Yields how many files this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Negative where there is no limit.
    count = soft if soft >= 0 else 1 << 30
    values, said = {"soft": soft, "hard": hard}, f"{soft} may be open, {hard} at most"
    if count < _LEAST_FILES:
        yield Finding("descriptors", BROKEN, said, f"ulimit -n {_EASY_FILES}", values)
    elif count < _EASY_FILES:
        yield Finding(
            "descriptors", NOTE, said, f"a server has one for each connection: ulimit -n {_EASY_FILES}", values
        )
    else:
        yield Finding("descriptors", OK, said, None, values)


def clock() -> Iterator[Finding]:
    """Yields whether the time of day can be right, which certificates and the ages of what is kept depend on."""
    newest = max(path.stat().st_mtime for path in Path(__file__).resolve().parents[1].glob("**/*.py"))
    values = {"now": time.time(), "synchronised": _is_synchronised()}
    said = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    if time.time() < newest - 86_400:
        yield Finding("clock", BROKEN, f"{said} is before vr was installed", "set the clock", values)
    elif values["synchronised"] is False:
        hint = "certificates are judged by it; leases and deadlines are not"
        yield Finding("clock", NOTE, f"{said}; the system says that nothing synchronises it", hint, values)
    else:
        yield Finding("clock", OK, said, None, values)


def folders(wanted: Mapping[str, tuple[Path, bool]]) -> Iterator[Finding]:
    """Yields for every folder whether it can be written, locked where that matters, and how much room it has.

    Args:
      wanted: By the name of the setting: the folder, and whether processes lock files in it. Nothing is made: of one
        that is not there yet, the nearest folder above it is looked at.
    """
    for name, (folder, locks) in wanted.items():
        place = folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        is_there = place == folder.absolute()
        values = {"folder": str(folder), "exists": is_there}
        if not place.is_dir():
            yield Finding(name, BROKEN, f"{place} is a file", "another folder", values)
            continue
        try:
            _probe(place, locks=locks)
        except OSError as err:
            what = "cannot be locked in" if place.is_dir() and os.access(place, os.W_OK) else "cannot be written"
            yield Finding(name, BROKEN, f"{place} {what} ({err.strerror})", "another folder, or its owner", values)
            continue
        free = shutil.disk_usage(place).free
        values["free_bytes"] = free
        said = f"{folder}{'' if is_there else ' (not there yet)'}, {_gib(free)} free"
        if free < _LEAST_DISK:
            yield Finding(name, BROKEN, said, "make room, or name another folder", values)
        elif free < _EASY_DISK:
            yield Finding(name, NOTE, said, "checkpoints and reports go there: a larger disk may be needed", values)
        else:
            yield Finding(name, OK, said, None, values)


def _probe(folder: Path, *, locks: bool) -> None:
    """Raises OSError where no file can be written, and locked, in a folder."""
    path = folder / f".vr-doctor.{os.urandom(8).hex()}"
    try:
        with path.open("wb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            if locks and os.name == "posix":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        path.unlink(missing_ok=True)


def _system_memory() -> tuple[int, int]:
    """Returns all memory and what of it is free or can be made so."""
    found = {}
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    page = os.sysconf("SC_PAGE_SIZE")
    total = found.get("MemTotal") or os.sysconf("SC_PHYS_PAGES") * page
    # Other systems do not say; what there is can at least be had by something else's leaving.
    return total, found.get("MemAvailable", total)


def _is_synchronised() -> bool | None:
    """Returns what the system's kernel says of its clock; None where it says nothing."""
    if sys.platform != "linux":
        return None
    try:
        # Zeros ask for nothing to be changed; a `struct timex` takes 208 bytes.
        return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)) != _UNSYNCHRONISED
    except (OSError, AttributeError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"
