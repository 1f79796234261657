from fastapi import FastAPI, Request, Response

from domo_files_async.fastapi import (
    DomoFiles,
    add_error_handlers,
    file_response,
    lifespan,
)

app = FastAPI(lifespan=lifespan())
add_error_handlers(app)


@app.api_route("/reports/{data_file_id}", methods=["GET", "HEAD"])
async def give(data_file_id: int, request: Request, domo: DomoFiles) -> Response:
    response = await file_response(domo, data_file_id, request, stall=30)
    response.headers["Cache-Control"] = "private, max-age=60"
    return response
