from opentelemetry import trace

from domo_files_async import DomoFilesSession
from domo_files_async.opentelemetry import OpenTelemetryObserver

tracer = trace.get_tracer("orders")


def open_session() -> DomoFilesSession:
    return DomoFilesSession.from_env(observer=OpenTelemetryObserver())


async def publish(domo: DomoFilesSession, path: str) -> int:
    with tracer.start_as_current_span("publish orders"):
        # The upload's span is below this one, its requests are below that.
        result = await domo.upload(path)
    return result.data_file_id
