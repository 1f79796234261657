"""Files of Domo behind an application of one's own.

Run it with `uvicorn main:app`; `DOMO_INSTANCE` and `DOMO_ACCESS_TOKEN` say which instance. Whoever
reaches it may do what the token may: put it behind your login.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse

from domo_files_async import DomoFilesSession, TransferConfig
from domo_files_async.fastapi import (
    DomoFiles,
    add_error_handlers,
    file_response,
    lifespan,
    upload_from,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MIB = 1024 * 1024
PAGE = Path(__file__).with_name("index.html")
MAX_BYTES = 5 * 1024 * MIB
NEVER = 2**31 - 1
OFTEN = 0.05
QUIET = 100

# For many uploads at once. A small budget means that few of them are read at a time, which keeps
# each turn of the loop short; the others wait in the kernel's buffers. With 16 MiB and the default
# concurrency a thousand uploads are done in a third of the time, and a health check beside them
# waited up to 35 ms longer.
TRANSFER = TransferConfig(
    part_size=MIB, multipart_threshold=MIB, memory_budget=12 * MIB, max_concurrency=6
)


def open_session() -> DomoFilesSession:
    """Make the session that all requests share."""
    return DomoFilesSession.from_env(transfer=TRANSFER)


@asynccontextmanager
async def run(_: FastAPI) -> AsyncIterator[None]:
    """Keep the garbage collector from stalling the loop.

    Looking through all objects takes 200 ms while a thousand uploads are under way, and finds next
    to nothing: what a request leaves behind is found among the young ones. So what is loaded is
    left out for good, and the rest is looked through in quiet moments. The young ones are looked
    through often, while they are few: by itself the collector waits for 700 more objects than
    there were, which takes long where as many go as come, and then stalls the loop for 30 ms.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*before[:2], NEVER)
    collecting = [asyncio.create_task(one) for one in (collect_young(), collect_when_quiet())]
    try:
        yield
    finally:
        for task in collecting:
            task.cancel()
        gc.set_threshold(*before)
        gc.unfreeze()


async def collect_young() -> None:
    """Look through what was made lately."""
    while True:
        await asyncio.sleep(OFTEN)
        gc.collect(1)


async def collect_when_quiet() -> None:
    """Look through all objects once a minute, but not while more than a few requests are open."""
    while True:
        await asyncio.sleep(60)
        if len(asyncio.all_tasks()) < QUIET:
            gc.collect()


app = FastAPI(title="Files", lifespan=lifespan(open_session, run))
add_error_handlers(app)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Show a form."""
    return FileResponse(PAGE)


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the application is alive; it asks nobody."""
    return {"status": "ok"}


@app.post("/files", status_code=201)
async def upload_form(request: Request, domo: DomoFiles) -> dict[str, Any]:
    """Store the file of a form."""
    result = await upload_from(request, domo, max_bytes=MAX_BYTES)
    return {"id": result.data_file_id, "name": result.name, "size": result.size_bytes}


@app.put("/files/{name}", status_code=201)
async def upload_raw(name: str, request: Request, domo: DomoFiles) -> dict[str, Any]:
    """Store the body under a name."""
    result = await upload_from(request, domo, name=name, max_bytes=MAX_BYTES)
    return {"id": result.data_file_id, "name": result.name, "size": result.size_bytes}


@app.api_route("/files/{data_file_id}", methods=["GET", "HEAD"])
async def download(data_file_id: int, request: Request, domo: DomoFiles) -> Response:
    """Give a file, or the range of it that is asked for."""
    return await file_response(domo, data_file_id, request)
