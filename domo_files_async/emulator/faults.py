"""Faults on request: selected by words, consumed in their order, accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ("CARRIERS", "OPERATIONS", "Behaviour", "Fault", "Faults", "ReceivedRequest")

OPERATIONS = frozenset(
    {
        "upload_file",
        "upload_revision",
        "list_files",
        "get_file",
        "open_download",
        "delete_revision",
        "get_permissions",
        "update_permissions",
        "create_multipart_session",
        "create_multipart_update_session",
        "upload_part",
        "commit_multipart_session",
        "abort_multipart_session",
        "get_revision",
        "list_revisions",
        "copy_revision",
        "duplicate_file",
        "delete_file",
        "get_current_user",
    }
)
CARRIERS = frozenset({"upload_file", "upload_revision", "upload_part", "open_download"})
"""Operations that carry the bytes of files."""
_RESETS = (None, "before", "body", "after")
_STATUSES = range(200, 600)
_MOST_PARTS = 10_000


@attrs.define(kw_only=True)
class Behaviour:
    """What the real service may do in one way or another; each can be changed while it runs.

    Attributes:
        ranges: Whether downloads honour a Range.
        etag: Whether downloads have an ETag.
        visibility_lag: After an upload, a commit or a copy, how many requests for details or lists
            still answer what was there before. Each data file counts its own.
        scan_state: What the virus scan says of new revisions.
        checksum_status: Status of a part whose checksum doesn't match.
        second_commit_status: Status of a commit after the commit; 0 or 200 answers as the first.
        second_abort_status: Status of an abort after the abort; 0 or 200 answers as the first.
        commit_after_abort_status: Status of a commit after the abort.
        session_life: Seconds after which a multipart session is gone; `None` for never.
        lost_session_status: Status of whatever comes for one that is gone.
        missing_part_status: Status of a commit with a gap between its parts; 0 or 200 makes a file
            of those that are there.
        min_part_size: Bytes below which a commit refuses any part but the last with 400.
        max_part_size: Bytes above which a part is refused with 413.
        max_file_size: Bytes above which a file is refused with 413: a simple upload, or a commit.
        most_listed: How many data files a list shows at most; `None` for all.
        bad_credential_status: Status of a request whose credential isn't known.
        most_at_once: Requests under way above which another one is refused; `None` for any number.
        too_many_status: Status of such a refusal.
        retry_after: Its Retry-After; `None` for none.
    """

    ranges: bool = True
    etag: bool = True
    visibility_lag: int = 0
    scan_state: str = "SAFE"
    checksum_status: int = 400
    second_commit_status: int = 409
    second_abort_status: int = 404
    commit_after_abort_status: int = 404
    session_life: float | None = None
    lost_session_status: int = 404
    missing_part_status: int = 409
    min_part_size: int | None = None
    max_part_size: int | None = None
    max_file_size: int | None = None
    most_listed: int | None = None
    bad_credential_status: int = 401
    most_at_once: int | None = None
    too_many_status: int = 429
    retry_after: str | None = None


@attrs.define
class ReceivedRequest:
    """A request that arrived.

    Attributes:
        operation: The session's method that sends such a one; empty for an unknown path.
        method: The HTTP method.
        path: Without the query, as it was sent.
        query: Decoded; of a repeated parameter the last one.
        headers: Names in any case; of a repeated header the first one.
        size: Bytes of the body that were read; of one refused unread, none.
        status: Of the reply; `None` where none was sent.
        at: When it came, in epoch milliseconds.
        took: Milliseconds until it was answered or given up; `None` until then.
        fault: What it met, if anything.
    """

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)  # has credentials
    size: int = 0
    status: int | None = None
    at: int = attrs.field(default=0, eq=False)
    took: int | None = attrs.field(default=None, eq=False)
    fault: Fault | None = attrs.field(default=None, eq=False, repr=False)

    def __iter__(self) -> Iterator[object]:
        """Give the first seven, for those who take it apart."""
        yield from (self.operation, self.method, self.path, self.query)
        yield from (self.headers, self.size, self.status)


@attrs.define(kw_only=True, eq=False)
class Fault:
    """One scripted fault; `Faults.add` says what its words mean, `met` how many requests met it."""

    operation: str
    part: int | None = None
    nth: int | None = None
    session_id: str | None = None
    times: int | None = 1
    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: str | bytes | dict[str, Any] | None = None
    maintenance: bool = False
    early: bool = False
    reset: str | None = None
    stall: float | None = None
    rate: float | None = None
    corrupt: bool = False
    truncate: bool = False
    met: int = 0
    _seen: int = attrs.field(default=0, init=False)

    @property
    def is_pending(self) -> bool:
        """Whether it waits to be met."""
        return self.met < (1 if self.times is None else self.times)

    def takes(self, operation: str, part: int | None, session_id: str | None) -> bool:
        """Say whether a request meets it, and count those that could."""
        if self.operation not in {"*", operation}:
            return False
        if self.part not in {None, part} or self.session_id not in {None, session_id}:
            return False
        self._seen += 1
        spent = self.times is not None and self.met >= self.times
        return not spent and (self.nth is None or self._seen >= self.nth)


class Faults:
    """The queue of faults; a request meets the first that takes it, and no other."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        operation: str,
        *,
        part: int | None = None,
        nth: int | None = None,
        session_id: str | None = None,
        times: int | None = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | dict[str, Any] | None = None,
        maintenance: bool = False,
        early: bool = False,
        reset: str | None = None,
        stall: float | None = None,
        rate: float | None = None,
        corrupt: bool = False,
        truncate: bool = False,
    ) -> Fault:
        """Add a fault.

        Args:
            operation: The session's method whose requests meet it; `"*"` for any.
            part: Only the part with this index.
            nth: Not before the nth request that the other words select, from 1.
            session_id: Only this multipart session's.
            times: How many requests meet it; `None` for all.
            status: Answered in place of the real answer, without processing.
            headers: Of that answer.
            body: Of that answer; by default an error in the API's shape. Alone, it is the body
                of a 200.
            maintenance: Answer with the maintenance page, with status 503 unless given.
            early: Answer before the request's body is read, and close.
            reset: Reset the connection: `"before"` the request's body is read, in mid-`"body"`
                (the request's, of a download the reply's), or `"after"` it was processed, in
                place of the reply.
            stall: Seconds to stand still: in mid-body where there is one, else before answering.
            rate: Bytes a second at which bodies are read or written.
            corrupt: Change a byte of a file on its way; cut other answers in half.
            truncate: End a download in mid-body, and close.

        Returns:
            The fault, which counts the requests that met it.

        Raises:
            ValueError: The words say nothing, or don't fit together.
        """
        if body is not None and status is None and not (maintenance or reset):
            status = 200
        fault = Fault(
            operation=operation,
            part=part,
            nth=nth,
            session_id=session_id,
            times=times,
            status=status,
            headers=dict(headers or {}),
            body=body,
            maintenance=maintenance,
            early=early,
            reset=reset,
            stall=stall,
            rate=rate,
            corrupt=corrupt,
            truncate=truncate,
        )
        _check(fault)
        self._faults.append(fault)
        return fault

    @property
    def pending(self) -> list[Fault]:
        """Those that weren't met as often as they should be."""
        return [fault for fault in self._faults if fault.is_pending]

    @property
    def met(self) -> dict[Fault, int]:
        """Those that were met, with how many requests met them."""
        return {fault: fault.met for fault in self._faults if fault.met}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def remove(self, fault: Fault) -> None:
        """Forget one of them.

        Raises:
            ValueError: It isn't there.
        """
        self._faults.remove(fault)

    def clear(self) -> None:
        """Forget all of them."""
        self._faults.clear()

    def take(self, operation: str, part: int | None, session_id: str | None) -> Fault | None:
        """Give the fault that a request meets, if any."""
        taken: Fault | None = None
        for fault in self._faults:
            if fault.takes(operation, part, session_id) and taken is None:
                taken = fault
        if taken is not None:
            taken.met += 1
        return taken


def _check(fault: Fault) -> None:
    answers = fault.status is not None or fault.maintenance
    acts = answers or fault.reset or fault.stall or fault.rate or fault.corrupt or fault.truncate
    wrong = {
        f"There is no operation {fault.operation!r}, but {', '.join(sorted(OPERATIONS))}": (
            fault.operation not in OPERATIONS | {"*"}
        ),
        f"reset is 'before', 'body' or 'after', not {fault.reset!r}": fault.reset not in _RESETS,
        "times and nth count from 1": min(_or(fault.times, 1), _or(fault.nth, 1)) < 1,
        f"part is from 1 to {_MOST_PARTS}": not 1 <= _or(fault.part, 1) <= _MOST_PARTS,
        "only upload_part has a part": fault.part is not None
        and fault.operation not in {"upload_part", "*"},
        "status is from 200 to 599": fault.status is not None and fault.status not in _STATUSES,
        "stall and rate are above 0": min(_or(fault.stall, 1), _or(fault.rate, 1)) <= 0,
        "headers, body and early belong to a status or to maintenance": not answers
        and (fault.headers or fault.body is not None or fault.early),
        "maintenance has a body of its own": fault.maintenance and fault.body is not None,
        "only open_download can be truncated": fault.truncate
        and fault.operation not in {"open_download", "*"},
        "A fault must do something: give a status, a reset, a stall …": not acts,
    }
    for message, is_so in wrong.items():
        if is_so:
            raise ValueError(message)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
