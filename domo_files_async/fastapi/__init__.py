"""Files of Domo in a FastAPI application: one shared session, streamed both ways, clear errors.

A form or a raw body goes to Domo as it comes, and a download to the browser; nothing is spooled.
"""

from domo_files_async.fastapi.downloads import file_response
from domo_files_async.fastapi.problems import add_error_handlers
from domo_files_async.fastapi.sharing import DomoFiles, get_session, lifespan
from domo_files_async.fastapi.uploads import UploadRefusedError, upload_from

__all__ = (
    "DomoFiles",
    "UploadRefusedError",
    "add_error_handlers",
    "file_response",
    "get_session",
    "lifespan",
    "upload_from",
)
