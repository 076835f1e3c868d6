"""TLS whose certificate is read again when its files change."""

import contextlib
import logging
import ssl
import threading
from pathlib import Path
from typing import Any

import grpc

from vr.core.errors import ConfigError
from vr.server.config import ServerConfig

__all__ = ["server_credentials"]

_log = logging.getLogger("vr.server")


def server_credentials(config: ServerConfig) -> grpc.ServerCredentials:
    """Returns credentials that follow their files; of two files changed one after the other, only a pair that fits.

    Raises:
      ConfigError: if the certificate, the key and the authority cannot be used now.
    """
    files = _Files(config)
    try:
        first = files.read()
    except (OSError, ssl.SSLError, ValueError) as err:
        raise ConfigError(f"cannot be used ({err})", where="server.certificate", hint="check its PEM files") from err
    changed: Any = files.changed  # None, where nothing did, is missing from grpc's own annotation
    return grpc.dynamic_ssl_server_credentials(first, changed, require_client_authentication=files.is_mutual)


class _Files:
    """A certificate, its key and the clients' authority on the disk."""

    def __init__(self, config: ServerConfig):
        assert config.certificate is not None
        assert config.private_key is not None
        self._certificate, self._key = Path(config.certificate), Path(config.private_key)
        self._authority = None if config.client_ca is None else Path(config.client_ca)
        self.is_mutual = self._authority is not None
        self._read: list[int] | None = None
        # gRPC asks from threads of its own.
        self._lock = threading.Lock()

    def read(self) -> grpc.ServerCertificateConfiguration:
        stamps = self._stamps()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Raises where the key is another certificate's.
        context.load_cert_chain(self._certificate, self._key)
        authority = None if self._authority is None else self._authority.read_bytes()
        if authority is not None:
            context.load_verify_locations(cadata=authority.decode())
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        self._read = stamps
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authority)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the files' new content; None where nothing changed, or nothing that could be used."""
        with self._lock, contextlib.suppress(OSError):
            if self._stamps() == self._read:
                return None
            try:
                found = self.read()
            except (ssl.SSLError, ValueError) as err:
                _log.warning("the new certificate cannot be used yet: %s", err)
                return None
            _log.info("a new certificate is in use")
            return found
        return None

    def _stamps(self) -> list[int]:
        files = (self._certificate, self._key, self._authority)
        return [path.stat().st_mtime_ns for path in files if path is not None]
