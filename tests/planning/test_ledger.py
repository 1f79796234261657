import itertools

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domo_files_async.planning.ledger import (
    TABLE,
    Abort,
    Aborted,
    AbortFailed,
    AccessFailed,
    AccessSet,
    AnswerLost,
    Cancelled,
    Choice,
    Commit,
    CommitRefused,
    CommitSent,
    Committed,
    Event,
    Failed,
    FindOut,
    ImpossibleEventError,
    Made,
    NotSeen,
    OpenSession,
    PartAccepted,
    PlanGrown,
    Resumed,
    SendPart,
    SessionLost,
    SessionOpened,
    SetAccess,
    SourceEnded,
    State,
    StillUnknown,
    StreamPlan,
    UploadLedger,
)
from domo_files_async.planning.parts import PartPlan

EXAMPLES = {
    SessionOpened: SessionOpened("s"),
    SessionLost: SessionLost(),
    PlanGrown: PlanGrown(5),
    SourceEnded: SourceEnded(),
    PartAccepted: PartAccepted(1, 10),
    CommitSent: CommitSent(),
    Committed: Committed(401, 430),
    CommitRefused: CommitRefused(),
    AnswerLost: AnswerLost(),
    Made: Made(401, 430),
    NotSeen: NotSeen(),
    StillUnknown: StillUnknown(),
    AccessSet: AccessSet(),
    AccessFailed: AccessFailed(),
    Failed: Failed(),
    Cancelled: Cancelled(),
    Aborted: Aborted(),
    AbortFailed: AbortFailed(),
    Resumed: Resumed(),
}
PATHS = {
    State.NEW: [],
    State.SENDING: [SessionOpened("s")],
    State.COMPLETE: [SessionOpened("s"), PartAccepted(1, 10)],
    State.COMMITTING: [SessionOpened("s"), PartAccepted(1, 10), CommitSent()],
    State.COMMIT_UNKNOWN: [SessionOpened("s"), PartAccepted(1, 10), CommitSent(), AnswerLost()],
    State.SETTING_ACCESS: [
        SessionOpened("s"),
        PartAccepted(1, 10),
        CommitSent(),
        Committed(401, 430),
    ],
    State.ABORTING: [SessionOpened("s"), Failed()],
    State.PARKED: [SessionOpened("s"), Failed(mendable=True)],
    State.DONE: [
        SessionOpened("s"),
        PartAccepted(1, 10),
        CommitSent(),
        Committed(401, 430),
        AccessSet(),
    ],
    State.FAILED: [Failed()],
    State.UNKNOWN: [
        SessionOpened("s"),
        PartAccepted(1, 10),
        CommitSent(),
        AnswerLost(),
        StillUnknown(),
    ],
}


def play(ledger, events):
    for event in events:
        ledger.next_actions(free=100)
        ledger.advance(event)
    return ledger


def reach(state, **options):
    options.setdefault("access_asked", True)
    options.setdefault("journaled", state is State.PARKED)
    return play(UploadLedger(PartPlan(10, 10), **options), PATHS[state])


@pytest.mark.parametrize("state", State)
def test_each_state_can_be_reached(state):
    assert reach(state).state is state
    assert state.is_end is (not reach(state).next_actions() and state is not State.COMMITTING)


@pytest.mark.parametrize(("state", "kind"), list(itertools.product(State, EXAMPLES)))
def test_each_cell_of_the_table_leads_where_it_says_or_raises(state, kind):
    ledger = reach(state)
    # Only what was resumed may start afresh.
    ledger.resumed = True
    ledger.next_actions(free=100)
    before = attrs.astuple(ledger, recurse=False)
    transition = TABLE[state].get(kind)
    # A source of known size never grows.
    if transition is None or kind is PlanGrown:
        with pytest.raises(ImpossibleEventError):
            ledger.advance(EXAMPLES[kind])
        assert attrs.astuple(ledger, recurse=False) == before
    else:
        ledger.advance(EXAMPLES[kind])
        possible = transition.states if isinstance(transition, Choice) else (transition,)
        assert ledger.state in possible


def test_the_table_knows_every_state_and_every_event():
    assert set(TABLE) == set(State)
    assert {kind for row in TABLE.values() for kind in row} == set(Event.__args__)
    assert set(EXAMPLES) == set(Event.__args__)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.NEW, [OpenSession()]),
        (State.COMPLETE, [Commit()]),
        (State.COMMITTING, []),
        (State.COMMIT_UNKNOWN, [FindOut(0)]),
        (State.SETTING_ACCESS, [SetAccess()]),
        (State.ABORTING, [Abort()]),
        (State.PARKED, []),
        (State.DONE, []),
        (State.FAILED, []),
        (State.UNKNOWN, []),
    ],
)
def test_each_state_offers_what_is_to_be_done(state, actions):
    assert reach(state).next_actions() == actions


def test_parts_are_offered_once_each_lowest_index_first():
    ledger = play(UploadLedger(PartPlan(25, 10)), [SessionOpened("s")])
    assert ledger.next_actions(free=2) == [SendPart(1, 0, 10), SendPart(2, 10, 10)]
    assert ledger.next_actions(free=2) == [SendPart(3, 20, 5)]
    assert ledger.next_actions(free=2) == []


def test_it_is_complete_with_the_last_part_in_whatever_order():
    ledger = play(UploadLedger(PartPlan(25, 10)), [SessionOpened("s")])
    ledger.next_actions(free=3)
    for index, size in ((3, 5), (1, 10)):
        ledger.advance(PartAccepted(index, size))
        assert ledger.state is State.SENDING
    ledger.advance(PartAccepted(2, 10))
    assert ledger.state is State.COMPLETE
    assert (ledger.bytes_accepted, ledger.parts_accepted) == (25, 3)


def test_a_part_is_accepted_once_and_only_if_it_was_offered():
    ledger = play(UploadLedger(PartPlan(25, 10)), [SessionOpened("s")])
    ledger.next_actions()
    ledger.advance(PartAccepted(1, 10))
    for index in (0, 1, 4):
        with pytest.raises(ImpossibleEventError):
            ledger.advance(PartAccepted(index, 10))
    assert ledger.parts_accepted == 1


def test_a_stream_is_planned_as_it_comes():
    ledger = play(UploadLedger(StreamPlan(10, 100)), [SessionOpened("s")])
    assert ledger.next_actions(free=5) == [SendPart(1, 0, 10)]
    assert ledger.next_actions(free=5) == []
    ledger.advance(PlanGrown(7))
    assert ledger.next_actions(free=5) == [SendPart(2, 7, 10)]
    ledger.advance(PartAccepted(1, 7))
    ledger.advance(SourceEnded())
    assert ledger.state is State.COMPLETE
    assert (ledger.bytes_planned, ledger.parts_planned) == (7, 1)


def test_a_stream_that_ended_waits_for_the_parts_under_way():
    ledger = play(UploadLedger(StreamPlan(10, 100)), [SessionOpened("s"), PlanGrown(10)])
    ledger.next_actions()
    ledger.advance(SourceEnded())
    assert ledger.state is State.SENDING
    assert ledger.next_actions() == []
    with pytest.raises(ImpossibleEventError):
        ledger.advance(PlanGrown(10))
    ledger.advance(PartAccepted(1, 10))
    assert ledger.state is State.COMPLETE


@pytest.mark.parametrize(
    ("journaled", "event", "state"),
    [
        (False, Failed(mendable=True), State.ABORTING),
        (True, Failed(mendable=False), State.ABORTING),
        (True, Failed(mendable=True), State.PARKED),
        (False, Cancelled(), State.ABORTING),
        (True, Cancelled(), State.PARKED),
    ],
)
def test_what_a_later_run_could_go_on_with_is_parked(journaled, event, state):
    ledger = reach(State.SENDING, journaled=journaled)
    ledger.advance(event)
    assert ledger.state is state


@pytest.mark.parametrize("asked", [False, True])
def test_access_is_set_only_where_it_was_asked_for(asked):
    ledger = reach(State.COMMITTING, access_asked=asked)
    ledger.advance(Committed(401, 430))
    assert ledger.state is (State.SETTING_ACCESS if asked else State.DONE)
    assert (ledger.data_file_id, ledger.revision_id) == (401, 430)


def test_a_commit_that_is_refused_the_first_time_is_aborted():
    ledger = reach(State.COMMITTING)
    ledger.advance(CommitRefused())
    assert ledger.state is State.ABORTING


def test_a_commit_that_was_not_seen_is_sent_again_until_one_is_refused():
    ledger = reach(State.COMMIT_UNKNOWN)
    ledger.advance(NotSeen())
    assert ledger.next_actions() == [Commit()]
    ledger.advance(CommitSent())
    ledger.advance(CommitRefused())
    assert ledger.next_actions() == [FindOut(1)]
    ledger.advance(NotSeen())
    assert ledger.next_actions() == [FindOut(2)]


@pytest.mark.parametrize(
    ("state", "event", "then"),
    [
        (State.NEW, None, State.NEW),
        (State.SENDING, None, State.SENDING),
        (State.SENDING, Cancelled(), State.SENDING),
        (State.SENDING, Failed(mendable=True), State.SENDING),
        (State.COMPLETE, None, State.COMPLETE),
        (State.COMPLETE, Cancelled(), State.COMPLETE),
        (State.COMMITTING, None, State.COMMIT_UNKNOWN),
        (State.COMMITTING, Cancelled(), State.COMMIT_UNKNOWN),
        (State.COMMITTING, CommitRefused(mendable=True), State.COMPLETE),
        (State.COMMIT_UNKNOWN, None, State.COMMIT_UNKNOWN),
        (State.COMMIT_UNKNOWN, Cancelled(), State.COMMIT_UNKNOWN),
        (State.COMMIT_UNKNOWN, Failed(mendable=True), State.COMMIT_UNKNOWN),
        (State.COMMIT_UNKNOWN, StillUnknown(), State.COMMIT_UNKNOWN),
        (State.SETTING_ACCESS, None, State.SETTING_ACCESS),
        (State.SETTING_ACCESS, Cancelled(), State.SETTING_ACCESS),
        (State.SETTING_ACCESS, AccessFailed(mendable=True), State.SETTING_ACCESS),
        (State.SETTING_ACCESS, AccessFailed(), State.DONE),
        (State.DONE, None, State.DONE),
        (State.ABORTING, None, State.ABORTING),
    ],
)
def test_what_is_taken_up_again_goes_on_where_it_was(state, event, then):
    ledger = reach(state, journaled=True)
    if event is not None:
        ledger.advance(event)
    ledger.advance(Resumed())
    assert ledger.state is then
    assert ledger.resumed


def test_parts_that_were_accepted_before_are_not_offered_again():
    ledger = play(UploadLedger(PartPlan(35, 10), journaled=True), [SessionOpened("s")])
    ledger.advance(PartAccepted(2, 10))
    ledger.advance(PartAccepted(4, 5))
    with pytest.raises(ImpossibleEventError):
        ledger.advance(PartAccepted(2, 10))
    assert [action.index for action in ledger.next_actions(free=9)] == [1, 3]


def test_a_parked_commit_is_asked_about_first():
    ledger = reach(State.COMMITTING, journaled=True)
    ledger.advance(Cancelled())
    ledger.advance(Resumed())
    assert ledger.state is State.COMMIT_UNKNOWN


@pytest.mark.parametrize("state", [State.SENDING, State.COMMITTING])
def test_what_this_run_began_itself_does_not_start_afresh(state):
    ledger = reach(state)
    before = attrs.astuple(ledger, recurse=False)
    with pytest.raises(ImpossibleEventError, match="resumed"):
        ledger.advance(SessionLost())
    assert attrs.astuple(ledger, recurse=False) == before


def test_a_resumed_upload_whose_multipart_session_is_lost_starts_afresh_once():
    ledger = play(UploadLedger(PartPlan(25, 10), journaled=True), [SessionOpened("s")])
    ledger.next_actions()
    ledger.advance(PartAccepted(1, 10))
    ledger.advance(Resumed())
    ledger.advance(SessionLost())
    assert (ledger.state, ledger.session_id, ledger.bytes_accepted) == (State.NEW, None, 0)
    ledger.advance(SessionOpened("t"))
    assert [action.index for action in ledger.next_actions(free=9)] == [1, 2, 3]
    with pytest.raises(ImpossibleEventError):
        ledger.advance(SessionLost())


def test_a_multipart_session_that_is_lost_at_its_first_commit_starts_afresh():
    ledger = play(reach(State.COMPLETE, journaled=True), [Resumed(), CommitSent()])
    ledger.advance(SessionLost())
    assert ledger.state is State.NEW
    assert not ledger.may_be_made


def test_a_multipart_session_that_is_lost_after_an_earlier_commit_is_asked_about():
    ledger = play(
        reach(State.COMMITTING, journaled=True), [Resumed(), NotSeen(), CommitSent(), SessionLost()]
    )
    assert ledger.state is State.COMMIT_UNKNOWN
    ledger.advance(NotSeen())
    assert ledger.next_actions() == [FindOut(2)]


@pytest.mark.parametrize("mendable", [False, True])
@pytest.mark.parametrize("journaled", [False, True])
def test_a_refused_commit_is_parked_only_if_it_can_be_mended(mendable, journaled):
    ledger = reach(State.COMMITTING, journaled=journaled)
    ledger.advance(CommitRefused(mendable))
    assert ledger.state is (State.PARKED if mendable and journaled else State.ABORTING)
    assert not ledger.may_be_made


def test_parts_that_come_late_do_not_disturb_an_abort():
    ledger = play(UploadLedger(PartPlan(25, 10)), [SessionOpened("s")])
    ledger.next_actions(free=3)
    ledger.advance(Failed())
    ledger.advance(PartAccepted(2, 10))
    assert ledger.next_actions() == [Abort()]


def test_ten_thousand_parts_keep_little():
    ledger = play(UploadLedger(PartPlan(10_000, 1)), [SessionOpened("s")])
    for index in range(1, 10_001):
        (action,) = ledger.next_actions()
        assert action.index == index
        ledger.advance(PartAccepted(index, 1))
        assert len(ledger._under_way) + len(ledger._accepted_before) == 0
    assert ledger.state is State.COMPLETE


class Uploads(RuleBasedStateMachine):
    """Events in any order that an engine could see them in."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.offered = []
        self.accepted = []
        self.commits_since_look = 0
        self.committed = False

    @rule(count=st.integers(1, 5), access=st.booleans(), journaled=st.booleans())
    @precondition(lambda self: not hasattr(self, "ledger"))
    def begin(self, count, access, journaled):
        self.plan = PartPlan(count * 10, 10)
        self.options = {"access_asked": access, "journaled": journaled}
        self.ledger = UploadLedger(self.plan, **self.options)

    def tell(self, event):
        self.events.append(event)
        self.ledger.advance(event)

    @rule(data=st.data(), free=st.integers(1, 4))
    @precondition(lambda self: hasattr(self, "ledger"))
    def act(self, data, free):
        for action in self.ledger.next_actions(free=free):
            match action:
                case OpenSession():
                    self.tell(SessionOpened("s"))
                case SendPart(index):
                    assert index not in self.offered
                    self.offered.append(index)
                case Commit():
                    assert self.commits_since_look == 0
                    self.commits_since_look += 1
                    self.tell(CommitSent())
                case FindOut():
                    self.commits_since_look = 0
                    found = data.draw(st.sampled_from([Made(1, 2), NotSeen(), StillUnknown()]))
                    self.committed = self.committed or isinstance(found, Made)
                    self.tell(found)
                case SetAccess():
                    self.tell(data.draw(st.sampled_from([AccessSet(), AccessFailed()])))
                case Abort():
                    assert self.ledger.session_id is not None
                    assert not self.committed
                    self.tell(data.draw(st.sampled_from([Aborted(), AbortFailed()])))

    @rule(data=st.data())
    @precondition(lambda self: hasattr(self, "ledger") and self.offered)
    def part_comes(self, data):
        if self.ledger.state in {State.SENDING, State.ABORTING}:
            index = data.draw(st.sampled_from(self.offered))
            if index not in self.accepted:
                self.accepted.append(index)
                self.tell(PartAccepted(index, 10))

    @rule(event=st.sampled_from([Committed(1, 2), CommitRefused(), AnswerLost()]))
    @precondition(lambda self: hasattr(self, "ledger"))
    def answer_comes(self, event):
        if self.ledger.state is State.COMMITTING:
            self.committed = self.committed or isinstance(event, Committed)
            self.tell(event)

    @rule(event=st.sampled_from([Failed(), Failed(mendable=True), Cancelled()]))
    @precondition(lambda self: hasattr(self, "ledger") and not self.ledger.state.is_end)
    def something_ends_it(self, event):
        self.tell(event)

    @rule()
    @precondition(lambda self: hasattr(self, "ledger") and self.options["journaled"])
    def a_later_run_takes_it_up(self):
        if Resumed in TABLE[self.ledger.state]:
            # All that a later run has is the list of events.
            self.ledger = UploadLedger(self.plan, **self.options)
            for event in self.events:
                self.ledger.advance(event)
            self.tell(Resumed())
            self.offered = list(self.accepted)
            # A commit whose answer nobody saw is looked for before it is sent again.
            if self.ledger.state is not State.COMMIT_UNKNOWN:
                self.commits_since_look = 0

    @rule()
    @precondition(lambda self: hasattr(self, "ledger") and self.ledger.resumed)
    def its_multipart_session_is_gone(self):
        if SessionLost in TABLE[self.ledger.state]:
            self.tell(SessionLost())
            if self.ledger.state is State.NEW:
                self.offered, self.accepted = [], []
                self.commits_since_look = 0

    @invariant()
    def what_is_counted_is_what_came(self):
        if hasattr(self, "ledger"):
            assert self.ledger.parts_accepted == len(self.accepted)
            if self.ledger.state is State.COMPLETE:
                assert sorted(self.accepted) == list(range(1, self.plan.count + 1))

    @invariant()
    def the_events_give_the_ledger_again(self):
        if hasattr(self, "ledger"):
            again = UploadLedger(self.plan, **self.options)
            for event in self.events:
                again.advance(event)
            assert again.state is self.ledger.state
            assert again.bytes_accepted == self.ledger.bytes_accepted
            assert again.session_id == self.ledger.session_id


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
