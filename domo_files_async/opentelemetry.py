"""What a session does as OpenTelemetry spans and metrics: one span a transfer, its requests below.

Rule 1: a transfer's span is current where the transfer runs, so that its tasks inherit it, and
whatever else runs at the same time doesn't.
Rule 2: names of files and ids are told only if asked for; a path is told as its template.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from domo_files_async import events
from domo_files_async.errors import ApiError, PartUploadError
from domo_files_async.version import __version__

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ("OpenTelemetryObserver",)

_SCOPE = "domo_files_async"
_TRANSFER = context.create_key("domo_files_async.transfer")
_FIRST_ERROR = 400
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_TURNS = {
    events.SessionCreated: "session created",
    events.Committed: "committed",
    events.Aborted: "aborted",
    events.Parked: "parked",
}


@attrs.define(eq=False)
class _Transfer:
    span: Span
    kind: dict[str, str]
    before: Token[Context] | None = None
    bytes_told: int = 0
    parts_under_way: int = 0


class OpenTelemetryObserver:
    """An `observer` for `DomoFilesSession`; one serves any number of sessions.

    Spans: `domo_files upload` and `domo_files download`, below the span that was current where the
    transfer was asked for, with retries and turns as span events; below them one client span for
    each attempt of each request. Metrics: `http.client.request.duration`, and under `domo_files.`
    `transfer.active`, `transfer.duration`, `transfer.io`, `part.active`, `part.sent`, `retries`
    and `throttles`.

    Args:
        tracer_provider: By default the global one.
        meter_provider: By default the global one.
        names_and_ids: Whether spans tell names of files, ids and errors' messages, which hold ids.

    Source: OpenTelemetry semantic conventions for HTTP clients.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        names_and_ids: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        self._tells_all = names_and_ids
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._active = meter.create_up_down_counter(
            "domo_files.transfer.active", "{transfer}", "Transfers under way."
        )
        self._durations = meter.create_histogram(
            "domo_files.transfer.duration", "s", "Duration of transfers."
        )
        self._io = meter.create_counter(
            "domo_files.transfer.io", "By", "Bytes that the other side has for certain."
        )
        self._parts_active = meter.create_up_down_counter(
            "domo_files.part.active", "{part}", "Parts that are being sent."
        )
        self._parts = meter.create_counter(
            "domo_files.part.sent", "{part}", "Parts that the server accepted."
        )
        self._retries = meter.create_counter(
            "domo_files.retries", "{retry}", "Attempts that were followed by another."
        )
        self._throttles = meter.create_counter(
            "domo_files.throttles", "{throttle}", "Waits that the server asked for."
        )

    def __call__(self, event: events.Event) -> None:
        """Take note of an event, in the task that it happened in."""
        transfer = context.get_value(_TRANSFER)
        assert transfer is None or isinstance(transfer, _Transfer)
        match event:
            case events.TransferStarted():
                self._start(event)
            case events.RequestFinished():
                self._request(event)
            case events.RequestRetried() | events.PartRetried():
                self._retried(event)
            case events.Throttled():
                self._throttles.add(1)
                self._tell("throttled", {"domo_files.delay": event.delay})
            case _ if transfer is not None:
                self._step(transfer, event)

    def _start(self, event: events.TransferStarted) -> None:
        kind = {"domo_files.transfer.kind": event.kind}
        told: dict[str, Any] = dict(kind)
        if event.size is not None:
            told["file.size"] = event.size
        if self._tells_all:
            told["file.name"] = event.name
        span = self._tracer.start_span(f"domo_files {event.kind}", attributes=told)
        transfer = _Transfer(span, kind)
        current = trace.set_span_in_context(span, context.set_value(_TRANSFER, transfer))
        transfer.before = context.attach(current)
        self._active.add(1, kind)

    def _step(self, transfer: _Transfer, event: events.Event) -> None:
        match event:
            case events.PartStarted():
                transfer.parts_under_way += 1
                self._parts_active.add(1, transfer.kind)
            case events.PartSent():
                transfer.parts_under_way -= 1
                transfer.bytes_told += event.size
                self._parts_active.add(-1, transfer.kind)
                self._parts.add(1, transfer.kind)
                self._io.add(event.size, transfer.kind)
            case events.TransferFinished():
                if self._tells_all:
                    transfer.span.set_attribute("domo_files.data_file_id", event.data_file_id)
                    if event.revision_id is not None:
                        transfer.span.set_attribute("domo_files.revision_id", event.revision_id)
                transfer.span.set_attribute("file.size", event.size)
                self._io.add(max(0, event.size - transfer.bytes_told), transfer.kind)
                self._end(transfer, event.elapsed, {})
            case events.TransferFailed():
                self._fail(transfer, event)
            case _:
                self._turn(transfer, event)

    def _turn(self, transfer: _Transfer, event: events.Event) -> None:
        match event:
            case events.Resumed():
                transfer.bytes_told += event.bytes_done
                self._tell("resumed", {"domo_files.parts": event.parts_done})
            case events.OutcomeSought():
                told = {
                    "domo_files.operation": event.operation,
                    "domo_files.outcome": event.verdict,
                }
                self._tell("outcome sought", told)
            case events.AbortFailed():
                self._tell("abort failed", _error_facts(event.error))
            case events.SessionCreated() | events.Committed() | events.Aborted() | events.Parked():
                told = {"domo_files.session_id": event.session_id} if self._tells_all else {}
                self._tell(_TURNS[type(event)], told)

    def _fail(self, transfer: _Transfer, event: events.TransferFailed) -> None:
        told = _error_facts(event.error)
        transfer.span.set_attributes(told)
        if self._tells_all:
            transfer.span.record_exception(event.error)
        if not isinstance(event.error, asyncio.CancelledError):
            transfer.span.set_status(StatusCode.ERROR, type(event.error).__name__)
        self._end(transfer, event.elapsed, {"error.type": told["error.type"]})

    def _end(self, transfer: _Transfer, elapsed: float, told: dict[str, Any]) -> None:
        assert transfer.before is not None
        context.detach(transfer.before)
        transfer.span.end()
        self._parts_active.add(-transfer.parts_under_way, transfer.kind)
        self._active.add(-1, transfer.kind)
        self._durations.record(elapsed, {**transfer.kind, **told})

    def _request(self, event: events.RequestFinished) -> None:
        told: dict[str, Any] = {
            "http.request.method": event.method,
            "url.template": event.path_template,
            **_server(event.origin),
        }
        failed = event.status is None or event.status >= _FIRST_ERROR
        if event.status is not None:
            told["http.response.status_code"] = event.status
        if failed:
            told["error.type"] = "_OTHER" if event.status is None else str(event.status)
        self._requests.record(event.elapsed, told)
        more: dict[str, Any] = {
            "domo_files.operation": event.operation,
            "http.request.body.size": event.size,
        }
        if event.attempt > 1:
            more["http.request.resend_count"] = event.attempt - 1
        if self._tells_all:
            more["url.path"] = event.path
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{event.method} {event.path_template}",
            kind=SpanKind.CLIENT,
            attributes={**told, **more},
            start_time=now - int(event.elapsed * 1e9),
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(now)

    def _retried(self, event: events.RequestRetried | events.PartRetried) -> None:
        match event:
            case events.PartRetried():
                operation, part = "upload_part", {"domo_files.part.index": event.index}
            case events.RequestRetried():
                operation, part = event.operation, {}
        told = {"domo_files.operation": operation, **_error_facts(event.error)}
        self._retries.add(1, told)
        more = {"domo_files.attempt": event.attempt, "domo_files.delay": event.delay}
        self._tell("retried", {**told, **more, **part})

    def _tell(self, name: str, told: dict[str, Any]) -> None:
        trace.get_current_span().add_event(f"domo_files {name}", told)


@functools.lru_cache
def _server(origin: str) -> dict[str, Any]:
    """Read an origin as the conventions tell it: with a port, also where that is the usual one."""
    url = urlsplit(origin)
    return {
        "server.address": url.hostname or "",
        "server.port": url.port or {"http": 80}.get(url.scheme, 443),
    }


def _error_facts(error: BaseException) -> dict[str, Any]:
    cause = error.cause if isinstance(error, PartUploadError) else error
    facts: dict[str, Any] = {"error.type": type(error).__name__}
    if isinstance(cause, ApiError):
        facts["http.response.status_code"] = cause.status
    return facts
