from fastapi import FastAPI, Request, Response

from domo_files_async.fastapi import (
    DomoFiles,
    add_error_handlers,
    file_response,
    lifespan,
    upload_from,
)

# One session for all requests, on the server's own loop.
app = FastAPI(lifespan=lifespan())
add_error_handlers(app)


@app.post("/files", status_code=201)
async def receive(request: Request, domo: DomoFiles) -> dict[str, int]:
    result = await upload_from(request, domo, max_bytes=5 * 1024**3)
    return {"id": result.data_file_id}


@app.get("/files/{data_file_id}")
async def give(data_file_id: int, request: Request, domo: DomoFiles) -> Response:
    return await file_response(domo, data_file_id, request)
