"""Every error that this library raises.

Caller's mistakes, the server's answers and the network's failures are separate branches::

    DomoFilesError
    ├── InvalidArgumentError
    ├── UnsupportedOnSurfaceError
    ├── SessionStateError
    ├── DestinationError
    ├── ScanTimeoutError
    ├── JournalError
    ├── SourceError
    │   ├── SourceChangedError
    │   └── SourceTooLargeError
    ├── TransportError
    │   ├── ConnectError
    │   └── StalledError
    ├── ApiError
    │   ├── BadRequestError
    │   ├── AuthenticationError
    │   ├── PermissionDeniedError
    │   ├── NotFoundError
    │   ├── ConflictError
    │   ├── PayloadTooLargeError
    │   ├── RateLimitedError
    │   ├── ServerError
    │   └── MaintenanceError
    ├── UnexpectedResponseError
    └── TransferError
        ├── PartUploadError
        ├── ChecksumMismatchError
        ├── OutcomeUnknownError
        ├── AccessNotSetError
        └── ScanRejectedError

A message says what happened, to what, and what to do; the same facts are attributes. All of them
survive pickling with their attributes.
"""

from __future__ import annotations

from typing import Any

__all__ = (
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
)


def _rebuild(cls: type[DomoFilesError], args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    # Pickle would call __init__ with the message alone, which fails where facts are keywords.
    error = cls.__new__(cls, *args)
    error.__dict__.update(facts)
    return error


class DomoFilesError(Exception):
    """Whatever goes wrong in this library is one of these."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class InvalidArgumentError(DomoFilesError, ValueError):
    """An argument can't be right; nothing was sent.

    Unless it shows only on the way: of a stream that gives text, say, nothing is committed.
    """


class UnsupportedOnSurfaceError(DomoFilesError):
    """The endpoint doesn't exist on this session's surface; nothing was sent."""


class SessionStateError(DomoFilesError):
    """A session, or what was opened with it, was used when or where it can't be.

    That is before or after its `async with`, or in another loop, thread or process. Also a writer
    whose session was closed, a download that is read twice, and a job that runs already.
    """


class DestinationError(DomoFilesError):
    """A download's destination exists already, or can't be written."""


class ScanTimeoutError(DomoFilesError, TimeoutError):
    """The virus scan wasn't over in the time given."""


class JournalError(DomoFilesError):
    """A journal can't be read or written, or a living process works on the same with it.

    The same is an upload of one source to one target, or a job. Nothing in the journal was
    overwritten.
    """


class SourceError(DomoFilesError):
    """The bytes to upload couldn't be read."""


class SourceChangedError(SourceError):
    """The source changed or shrank while it was read; nothing was committed."""


class SourceTooLargeError(SourceError):
    """The source holds more than the API's 10,000 parts can carry."""


class TransportError(DomoFilesError):
    """The network failed: no complete answer came.

    Attributes:
        request_sent: Whether the server may have seen the whole request. Only where it is false
            is it certain that nothing happened.
    """

    request_sent: bool

    def __init__(self, message: str, *, request_sent: bool = True) -> None:
        super().__init__(message)
        self.request_sent = request_sent


class ConnectError(TransportError):
    """A connection was never made, so that the request was never sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, request_sent=False)


class StalledError(TransportError):
    """No byte moved, in either direction, for `Timeouts.stall` seconds."""


class ApiError(DomoFilesError):
    """The server answered with an error.

    Attributes:
        status: The HTTP status.
        method: The request's method.
        path: The request's path, without its query.
        message: What the server said, shortened; may be empty.
        toe: The id that Domo's support asks for; `None` where none was given.
        retry_after: Seconds that the server asked to wait; `None` where it didn't.
    """

    status: int
    method: str
    path: str
    message: str
    toe: str | None
    retry_after: float | None

    #: What a person can do about this kind of error.
    advice: str = ""

    def __init__(
        self,
        message: str = "",
        *,
        status: int,
        method: str,
        path: str,
        toe: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        said = f": {message}" if message else ""
        support = f" (toe {toe})" if toe else ""
        wait = f"; it asks to wait {retry_after:g} s" if retry_after else ""
        advice = f". {self.advice}" if self.advice else ""
        super().__init__(f"{method} {path} was answered with {status}{said}{support}{wait}{advice}")
        self.status = status
        self.method = method
        self.path = path
        self.message = message
        self.toe = toe
        self.retry_after = retry_after


class BadRequestError(ApiError):
    """400, and any other 4xx without a class of its own."""

    advice = "The request itself was refused: sending it again won't help"


class AuthenticationError(ApiError):
    """401, or a redirect to a login page."""

    advice = "Check the credential: it is missing, expired, or for another instance or surface"


class PermissionDeniedError(ApiError):
    """403."""

    advice = "The credential is known, but may not do this: ask the file's owner for a grant"


class NotFoundError(ApiError):
    """404."""

    advice = "It doesn't exist, or this credential can't see it"


class ConflictError(ApiError):
    """409."""

    advice = "The server's state doesn't allow this now: look at what is there, then try again"


class PayloadTooLargeError(ApiError):
    """413."""

    advice = "Send it in smaller parts, or ask which sizes the instance allows"


class RateLimitedError(ApiError):
    """429."""

    advice = "Send less at once, or wait as long as the server asks"


class ServerError(ApiError):
    """A 5xx."""

    advice = "The server failed: try again later"


class MaintenanceError(ApiError):
    """Domo's maintenance page came where an answer was due."""

    advice = "The instance is under maintenance: try again later"


class UnexpectedResponseError(DomoFilesError):
    """A reply that doesn't say what the API's page promises.

    Attributes:
        status: The reply's HTTP status.
        method: The request's method.
        path: The request's path, without its query.
        field: Path to the field that is missing or wrong; `None` where the whole reply is.
    """

    status: int
    method: str
    path: str
    field: str | None

    def __init__(
        self, problem: str, *, status: int, method: str, path: str, field: str | None = None
    ) -> None:
        super().__init__(
            f"The reply to {method} {path} (status {status}) is not what the API promises: "
            f"{problem}. Is the instance name right, and is nothing between here and Domo?"
        )
        self.status = status
        self.method = method
        self.path = path
        self.field = field


class TransferError(DomoFilesError):
    """An upload or a download failed as a whole."""


class PartUploadError(TransferError):
    """A part couldn't be sent; nothing was committed.

    Attributes:
        index: The part's index, from 1.
        attempts: How often it was sent.
        cause: The error of the last attempt.
    """

    index: int
    attempts: int
    cause: DomoFilesError

    def __init__(self, *, index: int, attempts: int, cause: DomoFilesError) -> None:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(
            f"Part {index} couldn't be uploaded in {times}; nothing was committed. "
            f"The last one failed with: {cause}"
        )
        self.index = index
        self.attempts = attempts
        self.cause = cause


class ChecksumMismatchError(TransferError):
    """What one side has is not what the other side has, or couldn't be compared with it.

    The latter is where a file was uploaded with `verify="sha256"`, and the server didn't tell the
    digest of what it stored: then `actual` is `None`. So it is, and `expected` too, where the
    source changed before it was compared.

    Attributes:
        expected: The digest or size that should be.
        actual: The one that is; `None` where the server didn't say.
        data_file_id: The data file, where there is one already.
        revision_id: Its revision, where known.
    """

    expected: str | None
    actual: str | None
    data_file_id: int | None
    revision_id: int | None

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        actual: str | None = None,
        data_file_id: int | None = None,
        revision_id: int | None = None,
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual
        self.data_file_id = data_file_id
        self.revision_id = revision_id


class OutcomeUnknownError(TransferError):
    """The answer was lost, and looking didn't tell whether it happened.

    Attributes:
        operation: What was asked, as the session's method is named.
        seen: What was found when looking.
        data_file_id: The data file that it was about, where there is one.
        session_id: The multipart session that it was about, where there is one.
        cause: The error that swallowed the answer.
    """

    operation: str
    seen: str
    data_file_id: int | None
    session_id: str | None
    cause: DomoFilesError | None

    def __init__(
        self,
        *,
        operation: str,
        seen: str,
        data_file_id: int | None = None,
        session_id: str | None = None,
        cause: DomoFilesError | None = None,
    ) -> None:
        lost = f" ({cause})" if cause else ""
        super().__init__(
            f"The answer to {operation} was lost{lost}, and whether it happened isn't known: "
            f"{seen}. Look before you send it again, or it may be there twice"
        )
        self.operation = operation
        self.seen = seen
        self.data_file_id = data_file_id
        self.session_id = session_id
        self.cause = cause


class AccessNotSetError(TransferError):
    """The file was uploaded, but its access isn't what was asked for.

    Attributes:
        data_file_id: The data file, which is there.
        revision_id: Its revision, where known.
        public: The access that was asked for.
        cause: The error that setting it ended with.
    """

    data_file_id: int
    revision_id: int | None
    public: bool
    cause: DomoFilesError

    def __init__(
        self, *, data_file_id: int, revision_id: int | None, public: bool, cause: DomoFilesError
    ) -> None:
        wanted = "public" if public else "private"
        super().__init__(
            f"Data file {data_file_id} was uploaded, but couldn't be made {wanted}: {cause}. "
            f"Don't upload it again: set its permissions"
        )
        self.data_file_id = data_file_id
        self.revision_id = revision_id
        self.public = public
        self.cause = cause


class ScanRejectedError(TransferError):
    """The virus scan refused the file.

    Attributes:
        data_file_id: The data file.
        scan_state: The state that the server gives.
    """

    data_file_id: int
    scan_state: str

    def __init__(self, *, data_file_id: int, scan_state: str) -> None:
        super().__init__(
            f"Data file {data_file_id} was scanned as {scan_state}: don't use or share it"
        )
        self.data_file_id = data_file_id
        self.scan_state = scan_state
