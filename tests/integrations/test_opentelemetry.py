import asyncio
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domo_files_async import (
    NotFoundError,
    PartUploadError,
    RequestFinished,
    RetryPolicy,
    TransferConfig,
    UploadJournal,
)
from domo_files_async.emulator import Emulator
from domo_files_async.opentelemetry import OpenTelemetryObserver

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)
BASE = "/api/data/v1/data-files"


class Telemetry:
    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.observer = OpenTelemetryObserver(
            tracer_provider=self.provider, meter_provider=self.meters, **options
        )

    def spans(self, name=None):
        return [one for one in self.exporter.get_finished_spans() if name in {None, one.name}]

    def span(self, name):
        (one,) = self.spans(name)
        return one

    def metric(self, name, **wanted):
        """Give the sum of a metric's points with these attributes; of a histogram, their count."""
        total = 0
        for resource in self.reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points if metric.name == name else ():
                        if wanted.items() <= dict(point.attributes).items():
                            total += getattr(point, "value", None) or getattr(point, "count", 0)
        return total


@pytest.fixture
def telemetry():
    made = Telemetry()
    yield made
    made.provider.shutdown()
    made.meters.shutdown()


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
async def domo(emulator, telemetry):
    async with emulator.session(
        "ada", retry=QUICK, transfer=SMALL, observer=telemetry.observer
    ) as session:
        yield session


def children(telemetry, span):
    return [
        one
        for one in telemetry.spans()
        if one.parent is not None and one.parent.span_id == span.context.span_id
    ]


async def test_an_upload_is_one_span_with_its_requests_below(domo, telemetry):
    await domo.upload(bytes(2500), name="secret.txt")
    upload = telemetry.span("domo_files upload")
    assert upload.parent is None
    assert dict(upload.attributes) == {"domo_files.transfer.kind": "upload", "file.size": 2500}
    names = sorted(one.name for one in children(telemetry, upload))
    assert names == sorted(
        [f"POST {BASE}/multipart"]
        + [f"PUT {BASE}/multipart/{{session_id}}/part/{{index}}"] * 3
        + [f"POST {BASE}/multipart/{{session_id}}/commit"]
        + [f"GET {BASE}/{{data_file_id}}/permissions", f"PUT {BASE}/{{data_file_id}}/permissions"]
    )
    assert all(upload.start_time <= one.start_time for one in children(telemetry, upload))
    assert [one.name for one in upload.events] == [
        "domo_files session created",
        "domo_files committed",
    ]


async def test_a_request_has_the_attributes_of_the_conventions(domo, telemetry, emulator):
    emulator.faults.add("get_file", status=503)
    result = await domo.upload(b"x", name="x")
    await domo.get_file(result.data_file_id)
    first, second = telemetry.spans(f"GET {BASE}/{{data_file_id}}/details")
    told = {
        "http.request.method": "GET",
        "url.template": f"{BASE}/{{data_file_id}}/details",
        "server.address": "127.0.0.1",
        "server.port": int(emulator.url.rpartition(":")[2]),
        "domo_files.operation": "get_file",
        "http.request.body.size": 0,
    }
    assert first.kind is trace.SpanKind.CLIENT
    assert dict(first.attributes) == told | {"http.response.status_code": 503, "error.type": "503"}
    assert first.status.status_code is trace.StatusCode.ERROR
    assert dict(second.attributes) == told | {
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
    }
    assert second.status.status_code is trace.StatusCode.UNSET
    template = {"url.template": f"{BASE}/{{data_file_id}}/details", "server.address": "127.0.0.1"}
    assert telemetry.metric("http.client.request.duration", **template) == 2


async def test_retries_are_events_of_the_upload_also_when_it_fails(domo, telemetry, emulator):
    emulator.faults.add("upload_part", part=2, status=500, times=2)
    emulator.faults.add("upload_part", part=2, status=403)
    with pytest.raises(PartUploadError):
        await domo.upload(bytes(2500), name="x")
    upload = telemetry.span("domo_files upload")
    retried = [one for one in upload.events if one.name == "domo_files retried"]
    assert [one.attributes["domo_files.attempt"] for one in retried] == [1, 2]
    assert {one.attributes["domo_files.part.index"] for one in retried} == {2}
    assert {one.attributes["error.type"] for one in retried} == {"ServerError"}
    assert upload.status.status_code is trace.StatusCode.ERROR
    assert upload.attributes["error.type"] == "PartUploadError"
    assert upload.attributes["http.response.status_code"] == 403
    assert "domo_files aborted" in {one.name for one in upload.events}
    assert telemetry.metric("domo_files.retries") == 2


async def test_concurrent_uploads_keep_their_own_spans_and_parents(domo, telemetry, emulator):
    tracer = telemetry.provider.get_tracer("theirs")

    async def handle(number):
        with tracer.start_as_current_span(f"request {number}") as span:
            await asyncio.sleep(0)
            await domo.upload(bytes(1000 * number), name="x")
            assert trace.get_current_span() is span
            await domo.list_files()

    await asyncio.gather(*map(handle, range(1, 6)))
    uploads = telemetry.spans("domo_files upload")
    assert len(uploads) == 5
    for upload in uploads:
        number = upload.attributes["file.size"] // 1000
        parent = telemetry.span(f"request {number}")
        assert upload.parent.span_id == parent.context.span_id
        parts = [one for one in children(telemetry, upload) if "/part/" in one.name]
        assert len(parts) == number
        below = {one.name for one in children(telemetry, parent)}
        assert below == {"domo_files upload", f"GET {BASE}/details"}
    assert len({one.context.trace_id for one in uploads}) == 5
    assert not trace.get_current_span().is_recording()


async def test_no_name_no_id_and_no_message_is_told_unless_asked(emulator):
    for asked in (False, True):
        telemetry = Telemetry(names_and_ids=asked)
        async with emulator.session(
            "ada", retry=QUICK, transfer=SMALL, observer=telemetry.observer
        ) as domo:
            result = await domo.upload(bytes(1500), name="secret.txt")
            await domo.download(result.data_file_id, _Sink())
            emulator.faults.add("upload_part", status=403)
            with pytest.raises(PartUploadError):
                await domo.upload(bytes(1500), name="secret.txt")
            with pytest.raises(NotFoundError):
                await domo.get_file(987654321)
        told = "".join(one.to_json() for one in telemetry.spans())
        ids = {
            one.path.split("/")[6] for one in emulator.requests if one.operation == "upload_part"
        }
        for secret in ("secret.txt", "987654321", *ids):
            assert (secret in told) == (asked and secret in told)
        assert ("secret.txt" in told) == asked
        assert ("987654321" in told) == asked
        emulator.requests.clear()
        telemetry.provider.shutdown()
        telemetry.meters.shutdown()


class _Sink:
    def write(self, data):
        return len(data)


async def test_metrics_count_bytes_parts_and_what_is_under_way(domo, telemetry, emulator):
    result = await domo.upload(bytes(2500), name="x")
    await domo.upload(bytes(10), name="y")
    await domo.download(result.data_file_id, _Sink())
    up, down = {"domo_files.transfer.kind": "upload"}, {"domo_files.transfer.kind": "download"}
    assert telemetry.metric("domo_files.transfer.io", **up) == 2510
    assert telemetry.metric("domo_files.transfer.io", **down) == 2500
    assert telemetry.metric("domo_files.part.sent") == 3
    assert telemetry.metric("domo_files.transfer.duration", **up) == 2
    emulator.faults.add("upload_part", stall=60, times=None)
    uploading = asyncio.ensure_future(domo.upload(bytes(2500), name="x"))
    while telemetry.metric("domo_files.part.active") < 3:
        await asyncio.sleep(0.001)
    assert telemetry.metric("domo_files.transfer.active") == 1
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert telemetry.metric("domo_files.part.active") == 0
    assert telemetry.metric("domo_files.transfer.active") == 0
    last = telemetry.spans("domo_files upload")[-1]
    assert last.attributes["error.type"] == "CancelledError"
    assert last.status.status_code is trace.StatusCode.UNSET


async def test_a_throttle_is_counted_and_told(domo, telemetry, emulator):
    emulator.faults.add("upload_part", part=1, status=429, headers={"Retry-After": "0.01"})
    await domo.upload(bytes(1500), name="x")
    assert telemetry.metric("domo_files.throttles") == 1
    upload = telemetry.span("domo_files upload")
    (throttled,) = [one for one in upload.events if one.name == "domo_files throttled"]
    assert throttled.attributes["domo_files.delay"] == pytest.approx(0.01)


async def test_a_written_upload_belongs_to_where_it_was_opened(domo, telemetry, caplog):
    tracer = telemetry.provider.get_tracer("theirs")
    with tracer.start_as_current_span("request") as span, caplog.at_level(logging.WARNING):
        async with domo.open_upload("x") as writer:
            await writer.write(bytes(2500))
        assert trace.get_current_span() is span
    assert telemetry.span("domo_files upload").parent.span_id == span.context.span_id
    assert not caplog.records


def events_of(span):
    return {event.name.removeprefix("domo_files "): dict(event.attributes) for event in span.events}


async def test_the_turns_of_an_upload_are_events_of_its_span(domo, telemetry, emulator):
    emulator.faults.add("commit_multipart_session", reset="after")
    await domo.upload(bytes(3000), name="x")
    told = events_of(telemetry.span("domo_files upload"))
    assert {"session created", "outcome sought", "committed"} <= set(told)
    assert told["outcome sought"]["domo_files.outcome"] == "made"
    assert not [value for value in told["committed"].values() if value]


async def test_an_abort_that_fails_is_told(domo, telemetry, emulator):
    emulator.faults.add("upload_part", status=400)
    emulator.faults.add("abort_multipart_session", status=400)
    with pytest.raises(PartUploadError):
        await domo.upload(bytes(3000), name="x")
    assert "abort failed" in events_of(telemetry.span("domo_files upload"))


async def test_what_is_resumed_counts_no_bytes_twice(domo, telemetry, emulator, tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(250)) * 20)
    async with UploadJournal(tmp_path / "journal") as journal:
        emulator.faults.add("upload_part", part=4, stall=60)
        going = asyncio.create_task(domo.upload(tmp_path / "file", journal=journal))
        while len(emulator.faults.pending):
            await domo.list_files()
        while telemetry.metric("domo_files.part.sent") < 4:
            await domo.list_files()
        going.cancel()
        await asyncio.wait({going})
        await domo.upload(tmp_path / "file", journal=journal)
    parked, resumed = telemetry.spans("domo_files upload")
    assert "parked" in events_of(parked)
    assert events_of(resumed)["resumed"]["domo_files.parts"] == 4
    assert telemetry.metric("domo_files.transfer.io") == 5000


@pytest.mark.parametrize(
    ("origin", "address", "port"),
    [
        ("https://acme.domo.com", "acme.domo.com", 443),
        ("https://proxy.example:8443", "proxy.example", 8443),
        ("http://localhost", "localhost", 80),
        ("http://[::1]:5000", "::1", 5000),
    ],
)
def test_a_server_is_told_by_its_address_and_port(telemetry, origin, address, port):
    telemetry.observer(
        RequestFinished(
            operation="list_files",
            method="GET",
            path="/x",
            attempt=1,
            status=200,
            size=0,
            elapsed=0.1,
            origin=origin,
        )
    )
    told = telemetry.span("GET /x").attributes
    assert (told["server.address"], told["server.port"]) == (address, port)
