"""The states of one multipart upload: what happened, and what to do next.

Rule 1: the ledger changes only in `advance`; `next_actions` says what is to be done now.
Rule 2: facts come in as events, deeds go out as actions; both are values.
Rule 3: replaying the events gives the ledger again, so that the journal is the list of them.
Rule 4: an event that the table doesn't know in a state is a mistake in the engine, and raises.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias, assert_never

import attrs

from domo_files_async.planning.ledger_events import (
    Aborted,
    AbortFailed,
    AccessFailed,
    AccessSet,
    AnswerLost,
    Cancelled,
    CommitRefused,
    CommitSent,
    Committed,
    Event,
    Failed,
    Made,
    NotSeen,
    PartAccepted,
    PlanGrown,
    Resumed,
    SessionLost,
    SessionOpened,
    SourceEnded,
    StillUnknown,
)
from domo_files_async.planning.parts import MAX_PARTS, PartPlan, stream_part_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = (
    "TABLE",
    "Abort",
    "AbortFailed",
    "Aborted",
    "AccessFailed",
    "AccessSet",
    "Action",
    "AnswerLost",
    "Cancelled",
    "Choice",
    "Commit",
    "CommitRefused",
    "CommitSent",
    "Committed",
    "Event",
    "Failed",
    "FindOut",
    "ImpossibleEventError",
    "Made",
    "NotSeen",
    "OpenSession",
    "PartAccepted",
    "PlanGrown",
    "Resumed",
    "SendPart",
    "SessionLost",
    "SessionOpened",
    "SetAccess",
    "SourceEnded",
    "State",
    "StillUnknown",
    "StreamPlan",
    "UploadLedger",
)


class ImpossibleEventError(RuntimeError):
    """An event came in a state that can't have it."""


class State(enum.Enum):
    """Where a multipart upload stands."""

    NEW = "new"
    SENDING = "sending"
    COMPLETE = "complete"
    COMMITTING = "committing"
    COMMIT_UNKNOWN = "commit unknown"
    SETTING_ACCESS = "setting access"
    ABORTING = "aborting"
    PARKED = "parked"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_end(self) -> bool:
        """Whether a run ends here."""
        return self in {State.PARKED, State.DONE, State.FAILED, State.UNKNOWN}


@attrs.frozen
class OpenSession:
    """Ask the server for a multipart session."""


@attrs.frozen
class SendPart:
    """Send the part *index*: *size* bytes from *offset*; of a stream, at most that many."""

    index: int
    offset: int
    size: int


@attrs.frozen
class Commit:
    """Ask the server to make the revision."""


@attrs.frozen
class FindOut:
    """Look whether the commit made a revision; *look* counts from 0."""

    look: int


@attrs.frozen
class SetAccess:
    """Make the data file's access what was asked for."""


@attrs.frozen
class Abort:
    """Ask the server to drop the multipart session."""


Action: TypeAlias = OpenSession | SendPart | Commit | FindOut | SetAccess | Abort


@attrs.frozen
class StreamPlan:
    """Parts of a source whose size isn't known: each is planned when the one before was read.

    Attributes:
        asked: Bytes in a part as the caller asked; `None` to let them grow.
        ceiling: Most bytes that a part may grow to.
    """

    asked: int | None
    ceiling: int


@attrs.frozen
class Choice:
    """A transition that depends on what the ledger holds.

    Attributes:
        states: Where it can lead.
        pick: Says where it does lead.
    """

    states: tuple[State, ...]
    pick: Callable[[UploadLedger], State] = attrs.field(repr=False)


_all_in = Choice(
    (State.COMPLETE, State.SENDING),
    lambda ledger: State.COMPLETE if ledger.all_parts_in else State.SENDING,
)
_stopped = Choice(
    (State.PARKED, State.ABORTING),
    lambda ledger: State.PARKED if ledger.parks else State.ABORTING,
)
_made = Choice(
    (State.SETTING_ACCESS, State.DONE),
    lambda ledger: State.SETTING_ACCESS if ledger.access_asked else State.DONE,
)
_made_and_stopped = Choice(
    (State.PARKED, State.DONE),
    lambda ledger: State.PARKED if ledger.parks else State.DONE,
)
_refused = Choice(
    (State.ABORTING, State.PARKED, State.COMMIT_UNKNOWN),
    # A refusal of a commit that was sent before may well mean that the first one succeeded.
    lambda ledger: State.COMMIT_UNKNOWN if ledger.may_be_made else _stopped.pick(ledger),
)
_lost = Choice(
    (State.NEW, State.COMMIT_UNKNOWN),
    lambda ledger: State.COMMIT_UNKNOWN if ledger.may_be_made else State.NEW,
)
_not_seen = Choice(
    (State.COMPLETE, State.COMMIT_UNKNOWN),
    # A multipart session commits at most once, so that its commit may be sent again.
    lambda ledger: State.COMMIT_UNKNOWN if ledger.commit_refused else State.COMPLETE,
)


def _take_up(ledger: UploadLedger) -> State:
    if ledger.data_file_id is not None:
        return State.SETTING_ACCESS
    if ledger.may_be_made:
        return State.COMMIT_UNKNOWN
    return State.COMPLETE if ledger.all_parts_in else State.SENDING


_taken_up = Choice(
    (State.SENDING, State.COMPLETE, State.COMMIT_UNKNOWN, State.SETTING_ACCESS), _take_up
)

TABLE: Mapping[State, Mapping[type[Event], State | Choice]] = {
    State.NEW: {
        SessionOpened: State.SENDING,
        Failed: State.FAILED,
        Cancelled: State.FAILED,
        Resumed: State.NEW,
    },
    State.SENDING: {
        PlanGrown: State.SENDING,
        SourceEnded: _all_in,
        PartAccepted: _all_in,
        SessionLost: State.NEW,
        Failed: _stopped,
        Cancelled: _stopped,
        Resumed: _taken_up,
    },
    State.COMPLETE: {
        CommitSent: State.COMMITTING,
        Failed: _stopped,
        Cancelled: _stopped,
        Resumed: _taken_up,
    },
    State.COMMITTING: {
        Committed: _made,
        CommitRefused: _refused,
        AnswerLost: State.COMMIT_UNKNOWN,
        SessionLost: _lost,
        Failed: _stopped,
        Cancelled: _stopped,
        Resumed: State.COMMIT_UNKNOWN,
    },
    State.COMMIT_UNKNOWN: {
        Made: _made,
        NotSeen: _not_seen,
        StillUnknown: State.UNKNOWN,
        Failed: State.UNKNOWN,
        Cancelled: _stopped,
        Resumed: State.COMMIT_UNKNOWN,
    },
    State.SETTING_ACCESS: {
        AccessSet: State.DONE,
        AccessFailed: _made_and_stopped,
        Failed: _made_and_stopped,
        Cancelled: _made_and_stopped,
        Resumed: State.SETTING_ACCESS,
    },
    State.ABORTING: {
        # Parts that were under way when it was decided may still report.
        PartAccepted: State.ABORTING,
        Failed: State.ABORTING,
        Cancelled: State.ABORTING,
        Aborted: State.FAILED,
        AbortFailed: State.FAILED,
        Resumed: State.ABORTING,
    },
    State.PARKED: {
        Resumed: _taken_up,
    },
    State.DONE: {
        # What was made may still have to be compared with the source.
        Resumed: State.DONE,
    },
    State.FAILED: {},
    State.UNKNOWN: {
        Resumed: State.COMMIT_UNKNOWN,
    },
}


@attrs.define
class UploadLedger:
    """What is known of one multipart upload.

    Args:
        plan: The parts of a source of known size, or how a stream is cut.
        access_asked: Whether the data file's access has to be looked at after the commit.
        journaled: Whether what was sent outlives this run, so that it is parked, not aborted,
            when a later one could go on with it.

    Attributes:
        commits: How many commits were sent and weren't certainly in vain.
        resumed: Whether a later run took it up, and hasn't started afresh.
    """

    plan: PartPlan | StreamPlan
    access_asked: bool = False
    journaled: bool = False
    state: State = attrs.field(default=State.NEW, init=False)
    session_id: str | None = attrs.field(default=None, init=False)
    data_file_id: int | None = attrs.field(default=None, init=False)
    revision_id: int | None = attrs.field(default=None, init=False)
    bytes_accepted: int = attrs.field(default=0, init=False)
    parts_accepted: int = attrs.field(default=0, init=False)
    bytes_planned: int = attrs.field(default=0, init=False)
    parts_planned: int = attrs.field(default=0, init=False)
    ended: bool = attrs.field(default=False, init=False)
    commits: int = attrs.field(default=0, init=False)
    looks: int = attrs.field(default=0, init=False)
    commit_refused: bool = attrs.field(default=False, init=False)
    resumed: bool = attrs.field(default=False, init=False)
    parks: bool = attrs.field(default=False, init=False)
    _next: int = attrs.field(default=1, init=False)
    _under_way: set[int] = attrs.field(factory=set, init=False)
    _accepted_before: set[int] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.plan, PartPlan):
            self.bytes_planned, self.parts_planned = self.plan.size, self.plan.count
            self.ended = True

    @property
    def all_parts_in(self) -> bool:
        """Whether the server has every part."""
        return self.ended and self.parts_accepted == self.parts_planned

    @property
    def may_be_made(self) -> bool:
        """Whether a revision was made, or may have been."""
        return self.commits > 0

    def advance(self, event: Event) -> None:
        """Take note of *event*.

        Raises:
            ImpossibleEventError: The state can't have it; nothing is changed.
        """
        transition = TABLE[self.state].get(type(event))
        if transition is None:
            raise ImpossibleEventError(f"{type(event).__name__} can't come in {self.state}")
        self._note(event)
        self.state = transition.pick(self) if isinstance(transition, Choice) else transition

    def next_actions(self, *, free: int = 1) -> list[Action]:  # noqa: PLR0911 - one a state
        """Say what is to be done now; a part is offered once.

        Args:
            free: How many more parts may be under way.
        """
        match self.state:
            case State.NEW:
                return [OpenSession()]
            case State.SENDING:
                return self._parts(free)
            case State.COMPLETE:
                return [Commit()]
            case State.COMMIT_UNKNOWN:
                return [FindOut(self.looks)]
            case State.SETTING_ACCESS:
                return [SetAccess()]
            case State.ABORTING:
                return [Abort()]
            case State.COMMITTING | State.PARKED | State.DONE | State.FAILED | State.UNKNOWN:
                return []
            case _:
                assert_never(self.state)

    def _parts(self, free: int) -> list[Action]:
        actions: list[Action] = []
        while len(actions) < free:
            while self._next in self._accepted_before:
                self._next += 1
            if isinstance(self.plan, StreamPlan):
                if self.ended or self._next <= self.parts_planned or self._next in self._under_way:
                    break
                # One more than there can be is asked for, too: the stream may have ended.
                size = self._stream_part(min(self._next, MAX_PARTS))
                actions.append(SendPart(self._next, self.bytes_planned, size))
                self._under_way.add(self._next)
                break
            if self._next > self.plan.count:
                break
            part = self.plan.part(self._next)
            actions.append(SendPart(part.index, part.offset, part.size))
            self._under_way.add(self._next)
            self._next += 1
        return actions

    def _note(self, event: Event) -> None:  # noqa: C901, PLR0912 - one case an event
        match event:
            case SessionOpened(session_id):
                self.session_id = session_id
            case SessionLost():
                self._lose()
            case PlanGrown(size):
                self._grow(size)
            case SourceEnded():
                self.ended = True
                self._under_way.discard(self._next)
            case PartAccepted(index, size):
                self._accept(index, size)
            case CommitSent():
                self.commits += 1
            case Committed(data_file_id, revision_id) | Made(data_file_id, revision_id):
                self.data_file_id, self.revision_id = data_file_id, revision_id
            case CommitRefused(mendable):
                self.parks = self.journaled and mendable
                self._refuse()
            case NotSeen():
                self.looks += 1
            case Failed(mendable) | AccessFailed(mendable):
                self.parks = self.journaled and mendable
            case Cancelled():
                self.parks = self.journaled
            case Resumed():
                self._under_way.clear()
                self._next = 1
                self.looks = 0
                self.resumed = True
            case AnswerLost() | StillUnknown() | AccessSet():
                pass
            case Aborted() | AbortFailed():
                pass
            case _:
                assert_never(event)

    def _grow(self, size: int) -> None:
        if not isinstance(self.plan, StreamPlan) or self.ended:
            raise ImpossibleEventError("Only a stream that hasn't ended grows")
        self._stream_part(self.parts_planned + 1)
        self.parts_planned += 1
        self.bytes_planned += size
        self._next += 1

    def _stream_part(self, index: int) -> int:
        assert isinstance(self.plan, StreamPlan)
        return stream_part_size(index, asked=self.plan.asked, ceiling=self.plan.ceiling)

    def _accept(self, index: int, size: int) -> None:
        if index in self._under_way:
            self._under_way.discard(index)
        elif 1 <= index <= self.parts_planned and index >= self._next:
            if index in self._accepted_before:
                raise ImpossibleEventError(f"Part {index} was accepted before")
            self._accepted_before.add(index)
        else:
            raise ImpossibleEventError(f"Part {index} wasn't under way")
        self.parts_accepted += 1
        self.bytes_accepted += size

    def _refuse(self) -> None:
        if self.commits == 1:
            self.commits = 0
        else:
            self.commit_refused = True

    def _lose(self) -> None:
        # What this run began itself was lost by a mistake that a fresh start would repeat.
        if not self.resumed:
            raise ImpossibleEventError("Only what was resumed starts afresh, and once")
        if self.state is State.COMMITTING:
            self._refuse()
        if not self.may_be_made:
            self._start_afresh()

    def _start_afresh(self) -> None:
        self.session_id = None
        self.resumed = False
        self.bytes_accepted = self.parts_accepted = 0
        self._next = 1
        self._under_way.clear()
        self._accepted_before.clear()
