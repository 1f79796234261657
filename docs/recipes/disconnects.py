from fastapi import FastAPI, Request

from domo_files_async.fastapi import (
    DomoFiles,
    add_error_handlers,
    lifespan,
    upload_from,
)

app = FastAPI(lifespan=lifespan())
add_error_handlers(app)
stored: dict[str, int] = {}


@app.put("/reports/{key}", status_code=201)
async def receive(key: str, request: Request, domo: DomoFiles) -> dict[str, int]:
    result = await upload_from(request, domo, name=f"{key}.csv", max_bytes=1024**3)
    # This runs also when nobody waits for the answer any more.
    stored[key] = result.data_file_id
    return {"id": result.data_file_id}


@app.get("/reports/{key}")
async def look(key: str) -> dict[str, int | None]:
    return {"id": stored.get(key)}
