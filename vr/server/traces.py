"""Traces for OpenTelemetry, where they are asked for: a call, its validation's wait and work, and each stage of that.

Off, nothing of OpenTelemetry is imported and a span is nothing. On, spans go to a collector by OTLP over HTTP, from a
thread of their own; a collector that is away costs spans and nothing else. Spans carry names of methods, states and
reasons and the validation's id, and nothing of the data: neither addresses nor messages.
"""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from vr.core.errors import ConfigError

__all__ = ["Span", "Traces", "check_collector"]

_log = logging.getLogger("vr.server")
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_EXPORT_S = 5.0  # that a collector may take for a batch, and all that a server waits for it when it stops
_QUEUED = 2_048  # spans that wait for a collector; beyond them new ones are dropped
# The call's span is that of everything that its task begins. Handlers are cancelled and generators closed from other
# contexts, so that it is set and never reset by a token.
_PARENT: ContextVar[Any] = ContextVar("vr_parent_span", default=None)


class Span(Protocol):
    """What a span is used for."""

    def end(self) -> None:
        """Ends it."""


class Traces:
    """Spans of one process.

    Args:
      tracer: OpenTelemetry's; None: there are none.
      provider: That sends them.
    """

    def __init__(self, tracer: Any = None, provider: Any = None):
        self._tracer, self._provider = tracer, provider

    @classmethod
    def of(cls, collector: str | None, service: str) -> "Traces":
        """Returns traces that go to a collector, or none.

        Args:
          collector: `http://HOST:PORT` or `https://...`, of OTLP over HTTP; None: none.
          service: Name of this process there.
        """
        if collector is None:
            return cls()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from vr import __version__

        exporter = OTLPSpanExporter(f"{collector.rstrip('/')}/v1/traces", timeout=_EXPORT_S)
        # Its own words about a collector that is away come with every batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.version": __version__}), shutdown_on_exit=False
        )
        provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=_QUEUED, export_timeout_millis=1000 * _EXPORT_S)
        )
        return cls(provider.get_tracer("vr", __version__), provider)

    @contextlib.contextmanager
    def span(self, name: str, caller: Mapping[str, str] | None = None, **attributes: str | int) -> Iterator["_Notes"]:
        """Lets the block be a span, within the one around it or, of a call, within its caller's.

        Args:
          name: Its name.
          caller: Headers of a call, in which its caller may say `traceparent`.
          attributes: Its attributes, dots written as double underscores.
        """
        if self._tracer is None:
            yield _Notes(None)
            return
        above = _PARENT.get()
        span = self.begin(name, caller)
        notes = _Notes(span)
        notes.add(**attributes)
        _PARENT.set(span)
        try:
            yield notes
        except BaseException as err:
            notes.fail(type(err).__name__)
            raise
        finally:
            _PARENT.set(above)
            span.end()

    def begin(self, name: str, caller: Mapping[str, str] | None = None) -> Any:
        """Returns a span that was begun within the one around it, None where there are none; somebody has to end it."""
        if self._tracer is None:
            return None
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        above = _PARENT.get()
        if caller is not None:
            context = TraceContextTextMapPropagator().extract(caller)
        else:
            context = None if above is None else set_span_in_context(above)
        return self._tracer.start_span(name, context=context)

    def close(self) -> None:
        """Sends what is left, within a few seconds, and ends the thread."""
        if self._provider is not None:
            self._provider.force_flush(round(1000 * _EXPORT_S))
            self._provider.shutdown()


class _Notes:
    """What becomes known of a span while it lasts."""

    def __init__(self, span: Any):
        self._span = span

    def add(self, **attributes: str | int) -> None:
        """Notes attributes, dots written as double underscores."""
        if self._span is not None:
            for name, value in attributes.items():
                self._span.set_attribute(name.replace("__", "."), value)

    def fail(self, reason: str) -> None:
        """Notes that it failed, and why in a word."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, reason)


def check_collector(collector: str | None, where: str) -> None:
    """Raises where traces cannot go to a collector.

    Raises:
      ConfigError: for an address that is none or holds credentials, or where the extra `otel` is not installed.
    """
    if collector is None:
        return
    scheme, _, rest = collector.partition("://")
    if scheme not in ("http", "https") or not rest or "@" in rest or "?" in rest:
        raise ConfigError("is no address of a collector", where=where, hint="as in http://127.0.0.1:4318")
    for name in _NEEDED:
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(name) is not None:
                continue
        raise ConfigError("needs more packages", where=where, hint="pip install 'vr[otel]'")
