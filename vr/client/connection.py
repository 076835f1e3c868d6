"""How a server is reached: address, TLS and token, as a command line, a client and a load test all say it."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vr.core.errors import ConfigError

if TYPE_CHECKING:
    import grpc

__all__ = ["OPTIONS", "Authority", "Certificate", "Connection", "Insecure", "Key", "Tls", "TokenFile", "connection_of"]

_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|\[::1\]|localhost):\d+")
_TARGET = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")
OPTIONS = [
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # One layer tries again, and this is not it.
    ("grpc.enable_retries", 0),
]

# Words of every command that asks a server.
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="File with the bearer token.", show_default="$VR_TOKEN")
]
Authority = Annotated[
    str | None, typer.Option("--ca", help="PEM file of the server's certificate authority.", show_default=False)
]
Certificate = Annotated[
    str | None, typer.Option("--certificate", help="PEM file of your own certificate.", show_default=False)
]
Key = Annotated[str | None, typer.Option("--key", help="Its key.", show_default=False)]
Tls = Annotated[bool, typer.Option("--tls", help="Encrypt, trusting what the system trusts.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Send a token unencrypted beyond this machine.")]


@dataclass(frozen=True)
class Connection:
    """Where a server is and how to speak with it.

    Attributes:
      target: `HOST:PORT`.
      token: Sent as bearer token; needs TLS beyond loopback.
      authority: PEM file of the server's certificate authority; with it, or with `tls`, the connection is encrypted.
      certificate: PEM file of the client's own certificate, for mTLS.
      private_key: Its key.
      tls: Encrypt, trusting what the system trusts.
      insecure: Send a token unencrypted beyond this machine.

    Raises:
      ConfigError: for a token that would be sent unencrypted beyond this machine.
    """

    target: str
    token: str | None = None
    authority: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    tls: bool = False
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and not (self.encrypts or self.insecure or self.is_loopback):
            raise ConfigError(
                f"{self.target} is on another machine, and a token would be sent there without TLS",
                where="server",
                hint="give the authority (--ca) or tls (--tls), or say insecure (--insecure)",
            )

    @property
    def encrypts(self) -> bool:
        """Whether the connection is by TLS."""
        return bool(self.tls or self.authority or self.certificate)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return _LOOPBACK.fullmatch(self.target) is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def credentials(self) -> "grpc.ChannelCredentials | None":
        """Returns what a channel is made with; None: without TLS.

        Raises:
          ConfigError: if a file cannot be read.
        """
        import grpc

        if not self.encrypts:
            return None
        contents = []
        for name in (self.authority, self.private_key, self.certificate):
            try:
                contents.append(None if name is None else Path(name).read_bytes())
            except OSError as err:
                raise ConfigError(f"cannot be read ({err.strerror})", where=str(name), hint="check the path") from err
        return grpc.ssl_channel_credentials(*contents)

    def channel(self, options: Sequence[tuple[str, Any]] = ()) -> "grpc.Channel":
        """Returns a channel; `options` beside those that every client of vr has."""
        import grpc

        credentials, every = self.credentials(), [*OPTIONS, *options]
        if credentials is None:
            return grpc.insecure_channel(self.target, options=every)
        return grpc.secure_channel(self.target, credentials, options=every)

    def aio_channel(self, options: Sequence[tuple[str, Any]] = ()) -> "grpc.aio.Channel":
        """Returns the same for an event loop."""
        import grpc.aio

        credentials, every = self.credentials(), [*OPTIONS, *options]
        if credentials is None:
            return grpc.aio.insecure_channel(self.target, options=every)
        return grpc.aio.secure_channel(self.target, credentials, options=every)


def connection_of(
    target: str,
    token_file: Path | None,
    authority: str | None,
    certificate: str | None,
    private_key: str | None,
    tls: bool,
    insecure: bool,
) -> Connection:
    """Returns what a command line says; without a file the token is that of the environment, `VR_TOKEN`.

    Raises:
      ConfigError: for an address that is none, a token's file that cannot be read, or as `Connection` does.
    """
    if not _TARGET.fullmatch(target):
        raise ConfigError(f"{target!r} is not HOST:PORT", where="server")
    token = os.environ.get("VR_TOKEN") or None
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError("cannot be read", where=f"--token-file {token_file}", hint="check the path") from err
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise ConfigError("holds no token", where="--token-file", hint="one line of ASCII")
    return Connection(target, token, authority, certificate, private_key, tls, insecure)
