"""A server from outside: whether it answers, works, lets this client in, and is of the same version."""

from collections.abc import Iterator

from vr.client.connection import Connection
from vr.core.errors import VrError
from vr.doctor.finding import BROKEN, NOTE, OK, Finding

__all__ = ["server"]

_SLOW_MS = 100.0  # what health takes at most, also while everything computes


def server(connection: Connection) -> Iterator[Finding]:
    """Yields what is known of a server without asking it for any work."""
    from vr import __version__
    from vr.client.health import health_of

    target = connection.target
    try:
        found = health_of(connection)
    except VrError as err:
        hint = "is `vr serve` running there, and is the connection's TLS (--ca, --tls) the server's?"
        yield Finding("server", BROKEN, f"{target} does not answer ({err.message})", hint)
        return
    values = {"status": found.status, "latency_ms": found.latency_ms, "connect_ms": found.connect_ms}
    said = f"{target} answers in {found.latency_ms:.1f} ms, the first time in {found.connect_ms:.0f} ms"
    bad = [f"{name or 'the whole'} is {status}" for name, status in found.status.items() if status != "SERVING"]
    if bad:
        hint = "it starts, drains, has no child, or cannot write its store: its log says which"
        yield Finding("server", BROKEN, f"{said}; {', '.join(bad)}", hint, values)
    elif found.latency_ms > _SLOW_MS:
        yield Finding("server", NOTE, said, f"health is to take {_SLOW_MS:g} ms at most", values)
    else:
        yield Finding("server", OK, said, None, values)
    if found.refused is not None:
        yield Finding("server's calls", BROKEN, str(found.refused), "check the token or the certificate")
        return
    values = {"server": found.version, "here": __version__}
    if found.version is None:
        yield Finding("server's version", NOTE, "it does not say", f"it is older than {__version__}", values)
    elif found.version != __version__:
        said = f"{found.version} there, {__version__} here"
        yield Finding("server's version", NOTE, said, "fields that one of them does not know are left out", values)
    else:
        yield Finding("server's version", OK, f"{found.version}, as here", None, values)
