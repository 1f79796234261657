"""An asyncio client for Domo's Files and Multi-part Files API.

`DomoFilesSession` is where to begin. A name is imported when it is first asked for, so that a
command line that only shows its help doesn't wait for what moves bytes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from domo_files_async.version import __version__

if TYPE_CHECKING:
    from domo_files_async.auth import AppSession, Auth, DeveloperToken
    from domo_files_async.config import RetryPolicy, Surface, Timeouts, TransferConfig
    from domo_files_async.engine.download import DownloadStream
    from domo_files_async.engine.endpoints import COMPUTE
    from domo_files_async.engine.journal import JournaledUpload, UploadJournal
    from domo_files_async.engine.writer import UploadWriter
    from domo_files_async.errors import (
        AccessNotSetError,
        ApiError,
        AuthenticationError,
        BadRequestError,
        ChecksumMismatchError,
        ConflictError,
        ConnectError,
        DestinationError,
        DomoFilesError,
        InvalidArgumentError,
        JournalError,
        MaintenanceError,
        NotFoundError,
        OutcomeUnknownError,
        PartUploadError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RateLimitedError,
        ScanRejectedError,
        ScanTimeoutError,
        ServerError,
        SessionStateError,
        SourceChangedError,
        SourceError,
        SourceTooLargeError,
        StalledError,
        TransferError,
        TransportError,
        UnexpectedResponseError,
        UnsupportedOnSurfaceError,
    )
    from domo_files_async.events import (
        Aborted,
        AbortFailed,
        Committed,
        Event,
        OutcomeSought,
        Parked,
        PartRetried,
        PartSent,
        PartStarted,
        Progress,
        RequestFinished,
        RequestRetried,
        Resumed,
        SessionCreated,
        Throttled,
        TransferFailed,
        TransferFinished,
        TransferStarted,
    )
    from domo_files_async.models import (
        CommittedUpload,
        DataFile,
        DownloadResult,
        FileMetadata,
        Grant,
        PermissionEntry,
        Permissions,
        Revision,
        SessionId,
        UploadResult,
    )
    from domo_files_async.session import DomoFilesSession

__all__ = (  # noqa: RUF022 - grouped by what they are for
    # The session and its credentials
    "DomoFilesSession",
    "AppSession",
    "Auth",
    "DeveloperToken",
    "Surface",
    # What can be set
    "RetryPolicy",
    "Timeouts",
    "TransferConfig",
    "COMPUTE",
    "UploadJournal",
    # What comes back
    "CommittedUpload",
    "DataFile",
    "DownloadResult",
    "DownloadStream",
    "FileMetadata",
    "Grant",
    "JournaledUpload",
    "PermissionEntry",
    "Permissions",
    "Revision",
    "SessionId",
    "UploadResult",
    "UploadWriter",
    # Errors
    "AccessNotSetError",
    "ApiError",
    "AuthenticationError",
    "BadRequestError",
    "ChecksumMismatchError",
    "ConflictError",
    "ConnectError",
    "DestinationError",
    "DomoFilesError",
    "InvalidArgumentError",
    "JournalError",
    "MaintenanceError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PartUploadError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitedError",
    "ScanRejectedError",
    "ScanTimeoutError",
    "ServerError",
    "SessionStateError",
    "SourceChangedError",
    "SourceError",
    "SourceTooLargeError",
    "StalledError",
    "TransferError",
    "TransportError",
    "UnexpectedResponseError",
    "UnsupportedOnSurfaceError",
    # Events
    "AbortFailed",
    "Aborted",
    "Committed",
    "Event",
    "OutcomeSought",
    "Parked",
    "PartRetried",
    "PartSent",
    "PartStarted",
    "Progress",
    "RequestFinished",
    "RequestRetried",
    "Resumed",
    "SessionCreated",
    "Throttled",
    "TransferFailed",
    "TransferFinished",
    "TransferStarted",
    # About the library
    "__version__",
)

_MODULES = ("errors", "config", "auth", "models", "events", "session")
_HOMES = (*_MODULES, "engine.download", "engine.endpoints", "engine.journal", "engine.writer")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name in __all__:
            for home in _HOMES:
                module = import_module(f"{__name__}.{home}")
                if name in module.__all__:
                    globals()[name] = value = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_MODULES})
