"""Who asks: by client certificate or by bearer token, never by what a request says.

The tenants' file is TOML; of tokens it holds SHA-256 digests alone:

    [acme]
    tokens = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]  # printf %s TOKEN | sha256sum
    certificates = ["trainer.acme.example"]  # alternative names; where there are none, the common name
    roots = ["/data/acme"]
    buckets = ["s3://acme-data/synthetic"]
"""

import hashlib
import hmac
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError
from vr.server.addresses import ANYWHERE, Grant
from vr.server.config import ServerConfig

__all__ = ["Tenant", "Tenants"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"tokens", "certificates", "roots", "buckets"}


@dataclass(frozen=True)
class Tenant:
    """Somebody who may ask, and for which data."""

    name: str
    grant: Grant
    digests: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()


class Tenants:
    """All who may ask.

    Args:
      known: Them.
      anybody: Who asks where nobody is known by name.
    """

    def __init__(self, known: Sequence[Tenant], anybody: Tenant | None = None):
        self._known = tuple(known)
        self._anybody = anybody

    @classmethod
    def of(cls, config: ServerConfig) -> "Tenants":
        """Returns the tenants of the file, or the one tenant `local`.

        Raises:
          ConfigError: if the file cannot be understood.
        """
        if config.tenants is not None:
            return cls(_parsed(Path(config.tenants)))
        if config.roots is None and config.buckets is None:
            grant = ANYWHERE if config.is_loopback else Grant()
        else:
            grant = Grant.of(config.roots or (), config.buckets or ())
        return cls((), Tenant("local", grant))

    @property
    def by_name(self) -> dict[str, Tenant]:
        """All of them by name."""
        everybody = (*self._known, *([] if self._anybody is None else [self._anybody]))
        return {tenant.name: tenant for tenant in everybody}

    def find(self, authorization: str | None, certificate_names: Sequence[str]) -> Tenant | None:
        """Returns who holds a token or a certificate; None: nobody does.

        Args:
          authorization: The header's value.
          certificate_names: Of the client's certificate, which TLS has checked already.
        """
        if self._anybody is not None:
            return self._anybody
        for tenant in self._known:
            if set(tenant.certificates) & set(certificate_names):
                return tenant
        scheme, _, token = (authorization or "").partition(" ")
        digest = hashlib.sha256(token.encode()).hexdigest()
        # All are compared, whichever fits, so that the time taken says nothing.
        held = [tenant for tenant in self._known for known in tenant.digests if hmac.compare_digest(known, digest)]
        return held[0] if held and scheme.lower() == "bearer" and token else None


def _parsed(path: Path) -> list[Tenant]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError(f"cannot be read ({err})", where="server.tenants", hint="see docs/service.md") from err
    if not document:
        raise ConfigError("names no tenant", where="server.tenants", hint="see docs/service.md")
    tenants = [_tenant(name, settings) for name, settings in document.items()]
    for kind, held in (("tokens", lambda each: each.digests), ("certificates", lambda each: each.certificates)):
        owners: dict[str, str] = {}
        for tenant in tenants:
            for value in held(tenant):
                if (owner := owners.setdefault(value, tenant.name)) != tenant.name:
                    raise ConfigError(
                        f"{kind}[{held(tenant).index(value)}] is {owner}'s too",
                        where=f"server.tenants, {tenant.name}",
                        hint="each tenant has its own",
                    )
    return tenants


def _tenant(name: str, settings: Mapping[str, Any]) -> Tenant:
    where = f"server.tenants, {name}"
    if not _NAME.fullmatch(name) or not isinstance(settings, dict):
        raise ConfigError("is no tenant", where=where, hint="[name], of letters, digits, dots and dashes")
    if unknown := set(settings) - _KEYS:
        raise ConfigError(f"{sorted(unknown)[0]} is not known", where=where, hint=f"use {', '.join(sorted(_KEYS))}")
    lists = {key: settings.get(key, []) for key in _KEYS}
    for key, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise ConfigError(f"{key} must be a list of texts", where=where)
    if wrong := [each for each in lists["tokens"] if not _DIGEST.fullmatch(each)]:
        raise ConfigError(
            f"tokens[{lists['tokens'].index(wrong[0])}] is no SHA-256 in hexadecimal digits",
            where=where,
            hint="printf %s TOKEN | sha256sum",
        )
    if relative := [root for root in lists["roots"] if not Path(root).is_absolute()]:
        raise ConfigError(f"root {relative[0]!r} is not absolute", where=where)
    if wrong := [each for each in lists["buckets"] if not each.startswith(("s3://", "gs://"))]:
        raise ConfigError(f"bucket {wrong[0]!r} is neither s3:// nor gs://", where=where)
    return Tenant(
        name, Grant.of(lists["roots"], lists["buckets"]), tuple(lists["tokens"]), tuple(lists["certificates"])
    )
