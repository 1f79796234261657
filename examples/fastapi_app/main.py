"""Files of Domo behind an application of one's own.

Run it with `uvicorn main:app`; `DOMO_INSTANCE` and `DOMO_ACCESS_TOKEN` say which instance. Whoever
reaches it may do what the token may: put it behind your login.
"""

from __future__ import annotations

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

# For many uploads at once. A small budget means that few of them are read at a time, which keeps
# each turn of the loop short; the others wait in the kernel's buffers.
TRANSFER = TransferConfig(part_size=MIB, multipart_threshold=MIB, memory_budget=16 * MIB)


def open_session() -> DomoFilesSession:
    """Make the session that all requests share."""
    return DomoFilesSession.from_env(transfer=TRANSFER)


@asynccontextmanager
async def run(_: FastAPI) -> AsyncIterator[None]:
    """Do what this application wants done at its start."""
    # What is loaded stays: looking through all of it again would stall the loop for 100 ms.
    gc.collect()
    gc.freeze()
    yield


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
