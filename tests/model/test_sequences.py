"""Random sequences of calls, on both surfaces and by two users, do what the documentation says."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import Counter

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from domo_files_async import (
    AccessNotSetError,
    ChecksumMismatchError,
    ConflictError,
    DomoFilesError,
    Grant,
    NotFoundError,
    PermissionDeniedError,
    PermissionEntry,
    Permissions,
    RetryPolicy,
    Surface,
    TransferConfig,
    UnsupportedOnSurfaceError,
)
from domo_files_async.emulator import Emulator
from tests.model.service import (
    ForbiddenError,
    GoneError,
    MultipartSession,
    RefusedError,
    Revision,
    Service,
)

AT_ONCE = RetryPolicy(max_attempts=2, initial_backoff=0, max_backoff=0)
SMALL = TransferConfig(multipart_threshold=1000, part_size=700)
UNKNOWN = 987_654

USERS = ("ada", "bo")
CALLERS = st.tuples(st.sampled_from(["ada", "ada", "bo"]), st.sampled_from(Surface))
CONTENTS = st.one_of(
    st.just(b""),
    st.binary(max_size=20),
    st.integers(1, 3000).map(lambda n: bytes(range(n % 251)) * 12 + b"!"),
)
NAMES = st.sampled_from(["a.txt", "b & c #1.csv", '"quoted"', "50%+.bin", "é😀.parquet", "a/b"])
TYPES = st.sampled_from(["text/plain", "application/octet-stream", "text/csv; charset=utf-8"])
DESCRIPTIONS = st.sampled_from([None, "said", "who? & why=#"])
RIGHTS = st.sets(st.sampled_from(list(Grant)), min_size=1)
FILES = st.runner().flatmap(lambda machine: st.sampled_from(machine.known_files))
SESSIONS = st.runner().flatmap(lambda machine: st.sampled_from(machine.known_sessions))
WHICH = st.integers(0, 5)
REFUSED = {
    GoneError: (NotFoundError, ConflictError),
    ForbiddenError: PermissionDeniedError,
    RefusedError: DomoFilesError,
}
calls: Counter[str] = Counter()


class Sequences(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        calls["sequences"] += 1
        self.service = Service()
        self.runner = asyncio.Runner()
        self.emulator = Emulator()
        self.runner.run(self.emulator.__aenter__())
        self.opened = {}
        self.file_ids = [UNKNOWN]
        self.session_ids = ["987654"]

    def teardown(self):
        try:
            for caller in self.opened:
                self.compare_all(caller)
            assert set(self.emulator.open_sessions) == {
                one for one, session in self.service.sessions.items() if not session.is_over
            }
        finally:
            for session in self.opened.values():
                self.runner.run(session.__aexit__(None, None, None))
            self.runner.run(self.emulator.__aexit__(None, None, None))
            self.runner.close()

    @property
    def known_files(self):
        """Data files, those that are there more often than those that aren't."""
        return [*self.file_ids, *4 * list(self.service.files)]

    @property
    def known_sessions(self):
        """Multipart sessions, those that are open more often than those that are over."""
        sessions = self.service.sessions.items()
        return [*self.session_ids, *4 * [one for one, session in sessions if not session.is_over]]

    def session(self, caller):
        """Give the caller's session; it lasts as long as the sequence."""
        if caller not in self.opened:
            user, surface = caller
            session = self.emulator.session(user, surface=surface, retry=AT_ONCE, transfer=SMALL)
            self.runner.run(session.__aenter__())
            self.opened[caller] = session
        return self.opened[caller]

    def ask(self, caller, predict, method, *words, **more):
        """Make a call; give what the model predicted and what came, or nothing if it's refused."""
        calls[method] += 1
        call = getattr(self.session(caller), method)
        try:
            predicted = predict()
        except RefusedError as refused:
            calls["refused"] += 1
            with pytest.raises(REFUSED[type(refused)]):
                self.runner.run(call(*words, **more))
            return None
        return predicted, self.runner.run(call(*words, **more))

    def ask_product(self, caller, predict, method, *words):
        """Make a call that only the product surface has."""
        if caller[1] is Surface.PRODUCT:
            return self.ask(caller, predict, method, *words)
        calls[method] += 1
        with pytest.raises(UnsupportedOnSurfaceError):
            self.runner.run(getattr(self.session(caller), method)(*words))
        return None

    def newest(self, file_id):
        """Give a revision's id where the call doesn't say it."""
        return max(self.emulator.files[file_id])

    def revision_id(self, file_id, which):
        """Give one of a data file's revisions, or one that isn't there."""
        file = self.service.files.get(file_id)
        known = [] if file is None else sorted(file.revisions)
        return known[which % len(known)] if known and which < 5 else UNKNOWN

    def made(self, caller, file_id, revision_id, revision, *, name, description, public):
        self.service.add_file(
            caller[0],
            file_id,
            revision_id,
            revision,
            name=name,
            description=description,
            public=public,
        )
        self.file_ids.append(file_id)

    def same_revision(self, file_id, revision_id, seen):
        known = self.service.files[file_id].revisions[revision_id]
        assert seen.data_file_revision_id == revision_id
        assert seen.data_file_id == file_id
        assert seen.size_bytes == len(known.content)
        assert seen.content_type == known.content_type
        assert seen.sha256_hash_value.lower() == hashlib.sha256(known.content).hexdigest()

    def same_file(self, file_id, seen, expand=()):
        known = self.service.files[file_id]
        assert (seen.data_file_id, seen.name) == (file_id, known.name)
        assert seen.responsible_user_id == self.emulator.user_id(known.owner)
        self.same_revision(file_id, known.current, seen.current_revision)
        revisions = sorted(known.revisions) if "revisions" in expand else []
        assert sorted(one.data_file_revision_id for one in seen.revisions) == revisions
        for one in seen.revisions:
            self.same_revision(file_id, one.data_file_revision_id, one)
        if "metadata" in expand:
            # Without a description and with an empty one is the same.
            assert (seen.metadata.description or None) == known.description
            assert seen.metadata.public is known.public

    def compare_all(self, caller):
        seen = self.runner.run(self.session(caller).list_files(expand=("revisions", "metadata")))
        assert {one.data_file_id for one in seen} == set(self.service.seen(caller[0]))
        for one in seen:
            self.same_file(one.data_file_id, one, ("revisions", "metadata"))

    @invariant()
    def as_many_files(self):
        assert {
            file_id: sorted(revisions) for file_id, revisions in self.emulator.files.items()
        } == {file_id: sorted(file.revisions) for file_id, file in self.service.files.items()}

    @initialize(rights=RIGHTS)
    def begin(self, rights):
        """Have something there in the first call already, and not all of it the caller's own."""
        for caller in [("ada", Surface.APP), ("ada", Surface.PRODUCT), ("bo", Surface.APP)]:
            _, file_id = self.ask(caller, lambda: None, "upload_file", b"there", name="there")
            revision = Revision(b"there", "application/octet-stream")
            words = {"name": "there", "description": None, "public": False}
            self.made(caller, file_id, self.newest(file_id), revision, **words)
            self.grant_access(caller, file_id, {Grant.READ, *rights}, "bo")

    @rule(
        caller=CALLERS,
        content=CONTENTS,
        name=NAMES,
        description=DESCRIPTIONS,
        public=st.booleans(),
        content_type=TYPES,
    )
    def upload_file(self, caller, content, name, description, public, content_type):
        _, file_id = self.ask(
            caller,
            lambda: None,
            "upload_file",
            content,
            name=name,
            description=description,
            public=public,
            content_type=content_type,
        )
        self.made(
            caller,
            file_id,
            self.newest(file_id),
            Revision(content, content_type),
            name=name,
            description=description,
            public=public,
        )

    @rule(caller=CALLERS, file_id=FILES, content=CONTENTS, content_type=TYPES)
    def upload_revision(self, caller, file_id, content, content_type):
        answer = self.ask(
            caller,
            lambda: self.service.find(caller[0], file_id, "WRITE"),
            "upload_revision",
            file_id,
            content,
            content_type=content_type,
        )
        if answer:
            file, revision_id = answer
            file.revisions[revision_id] = Revision(content, content_type)

    @rule(
        caller=CALLERS,
        content=CONTENTS,
        name=NAMES,
        description=DESCRIPTIONS,
        public=st.sampled_from([None, False, True]),
        content_type=TYPES,
        verify=st.sampled_from(["parts", "sha256", "none"]),
        is_written=st.booleans(),
    )
    def upload(self, caller, content, name, description, public, content_type, verify, is_written):
        words = {
            "description": description,
            "public": public,
            "content_type": content_type,
            "verify": verify,
        }

        async def write():
            async with self.session(caller).open_upload(name, **words) as writer:
                await writer.write(content)
            return writer.result

        calls["open_upload" if is_written else "upload"] += 1
        session = self.session(caller)
        result = self.runner.run(
            write() if is_written else session.upload(content, name=name, **words)
        )
        assert (result.size_bytes, result.name) == (len(content), name)
        assert bool(result.parts) is (len(content) >= 1000)
        self.made(
            caller,
            result.data_file_id,
            self.newest(result.data_file_id),
            Revision(content, content_type),
            name=name,
            description=description,
            public=bool(public),
        )

    @rule(
        caller=CALLERS,
        file_id=FILES,
        content=CONTENTS,
        name=st.none() | NAMES,
        description=DESCRIPTIONS,
        public=st.sampled_from([None, None, False, True]),
        content_type=TYPES,
    )
    def upload_over(self, caller, file_id, content, name, description, public, content_type):
        async def upload_over(session):
            words = {"name": name, "description": description, "content_type": content_type}
            try:
                await session.upload(content, data_file_id=file_id, public=public, **words)
            except AccessNotSetError:
                return False
            return True

        calls["upload"] += 1
        try:
            file = self.service.find(caller[0], file_id, "WRITE")
        except RefusedError as refused:
            calls["refused"] += 1
            with pytest.raises(REFUSED[type(refused)]):
                self.runner.run(upload_over(self.session(caller)))
            return
        is_set = self.runner.run(upload_over(self.session(caller)))
        file.revisions[self.newest(file_id)] = Revision(content, content_type)
        file.name, file.description = name or file.name, description or file.description
        assert is_set is (public in {None, file.public} or "SHARE" in file.rights_of(caller[0]))
        if is_set and public is not None:
            file.public = public

    @rule(caller=CALLERS, expand=st.sets(st.sampled_from(["revisions", "metadata"])))
    def list_all(self, caller, expand):
        _, seen = self.ask(caller, lambda: None, "list_files", expand=tuple(expand))
        assert {one.data_file_id for one in seen} == set(self.service.seen(caller[0]))
        for one in seen:
            self.same_file(one.data_file_id, one, expand)

    @rule(caller=CALLERS)
    def list_owned(self, caller):
        _, seen = self.ask(caller, lambda: None, "list_files", limit_to_owned=True)
        assert {one.data_file_id for one in seen} == {
            file_id for file_id, file in self.service.files.items() if file.owner == caller[0]
        }

    @rule(caller=CALLERS, wanted=st.lists(FILES, max_size=5))
    def list_some(self, caller, wanted):
        _, seen = self.ask(caller, lambda: None, "list_files", ids=wanted)
        known = self.service.seen(caller[0])
        assert [one.data_file_id for one in seen] == [
            one for one in dict.fromkeys(wanted) if one in known
        ]

    @rule(caller=CALLERS, file_id=FILES, expand=st.sets(st.sampled_from(["revisions", "metadata"])))
    def get_file(self, caller, file_id, expand):
        answer = self.ask(
            caller,
            lambda: self.service.find(caller[0], file_id),
            "get_file",
            file_id,
            expand=tuple(expand),
        )
        if answer:
            self.same_file(file_id, answer[1], expand)

    @rule(caller=CALLERS, file_id=FILES)
    def wait_for_scan(self, caller, file_id):
        answer = self.ask(
            caller,
            lambda: self.service.find(caller[0], file_id),
            "wait_for_scan",
            file_id,
            timeout=5,
        )
        if answer:
            self.same_file(file_id, answer[1])

    @rule(
        caller=CALLERS,
        file_id=FILES,
        which=st.none() | WHICH,
        start=st.integers(0, 3) | st.integers(0, 900),
        length=st.none() | st.integers(1, 900),
        is_range=st.booleans(),
    )
    def open_download(self, caller, file_id, which, start, length, is_range):
        revision_id = None if which is None else self.revision_id(file_id, which)
        asked = (start, None if length is None else start + length) if is_range else None
        user = caller[0]

        def predict():
            file = self.service.find(user, file_id)
            chosen = file.current if revision_id is None else revision_id
            content = self.service.find_revision(user, file_id, chosen).content
            if asked and start >= len(content):
                raise RefusedError
            return content[slice(*asked)] if asked else content

        async def read(session):
            opened = session.open_download(file_id, revision_id=revision_id, byte_range=asked)
            async with opened as stream:
                return await stream.read(), stream.size

        calls["open_download"] += 1
        session = self.session(caller)
        try:
            predicted = predict()
        except RefusedError as refused:
            calls["refused"] += 1
            with pytest.raises(REFUSED[type(refused)]):
                self.runner.run(read(session))
        else:
            assert self.runner.run(read(session)) == (predicted, len(predicted))

    @rule(caller=CALLERS, file_id=FILES, which=st.none() | WHICH)
    def download(self, caller, file_id, which):
        revision_id = None if which is None else self.revision_id(file_id, which)

        def predict():
            file = self.service.find(caller[0], file_id)
            chosen = file.current if revision_id is None else revision_id
            return self.service.find_revision(caller[0], file_id, chosen).content

        sink = io.BytesIO()
        answer = self.ask(caller, predict, "download", file_id, sink, revision_id=revision_id)
        if answer:
            assert sink.getvalue() == answer[0]

    @rule(caller=CALLERS, file_id=FILES, which=WHICH)
    def delete_revision(self, caller, file_id, which):
        revision_id = self.revision_id(file_id, which)
        self.ask(
            caller,
            lambda: self.service.delete_revision(caller[0], file_id, revision_id),
            "delete_revision",
            file_id,
            revision_id,
        )

    @rule(caller=CALLERS, file_id=FILES)
    def delete_file(self, caller, file_id):
        def predict():
            self.service.find(caller[0], file_id, "DELETE")
            del self.service.files[file_id]

        self.ask_product(caller, predict, "delete_file", file_id)

    def same_permissions(self, file_id, seen):
        known = self.service.files[file_id]
        assert seen.public_access is known.public
        assert {
            (entry.entity_type, entry.entity_id): frozenset(str(entry.grant).split("_"))
            for entry in seen.entries
        } == {
            (kind, str(self.emulator.user_id(user))): rights
            for (kind, user), rights in known.rights.items()
        }

    @rule(caller=CALLERS, file_id=FILES)
    def get_permissions(self, caller, file_id):
        answer = self.ask(
            caller,
            lambda: self.service.find(caller[0], file_id),
            "get_permissions",
            file_id,
        )
        if answer:
            self.same_permissions(file_id, answer[1])

    @rule(
        caller=CALLERS,
        file_id=FILES,
        rights=RIGHTS,
        public=st.booleans(),
        who=st.sampled_from(USERS),
    )
    def update_permissions(self, caller, file_id, rights, public, who):
        wanted = {("USER", who): frozenset(one.name for one in rights)}

        def predict():
            self.service.find(caller[0], file_id, "SHARE")
            self.service.change_rights(caller[0], file_id, wanted, public=public)

        self.ask(
            caller,
            predict,
            "update_permissions",
            file_id,
            Permissions(public, [self.entry(who, rights)]),
        )

    def entry(self, user, rights):
        grant = Grant(0)
        for one in rights:
            grant |= one
        return PermissionEntry("USER", self.emulator.user_id(user), grant)

    @rule(caller=CALLERS, file_id=FILES, rights=RIGHTS, who=st.sampled_from(USERS))
    def grant_access(self, caller, file_id, rights, who):
        def predict():
            file = self.service.find(caller[0], file_id)
            wanted = {**file.rights, ("USER", who): frozenset(one.name for one in rights)}
            self.service.change_rights(caller[0], file_id, wanted, public=file.public)

        answer = self.ask_unless_blinded(
            caller, file_id, predict, "grant_access", file_id, self.entry(who, rights)
        )
        if answer:
            self.same_permissions(file_id, answer[1])

    @rule(caller=CALLERS, file_id=FILES, who=st.sampled_from(USERS))
    def revoke_access(self, caller, file_id, who):
        def predict():
            file = self.service.find(caller[0], file_id)
            wanted = {one: rights for one, rights in file.rights.items() if one != ("USER", who)}
            self.service.change_rights(caller[0], file_id, wanted, public=file.public)

        principal = ("USER", self.emulator.user_id(who))
        answer = self.ask_unless_blinded(
            caller, file_id, predict, "revoke_access", file_id, principal
        )
        if answer:
            self.same_permissions(file_id, answer[1])

    def ask_unless_blinded(self, caller, file_id, predict, method, *words):
        """Make a call that reads at last what it wrote: who took the own right can't do that."""

        def predict_all():
            predict()
            return self.service.find(caller[0], file_id)

        return self.ask(caller, predict_all, method, *words)

    @rule(
        caller=CALLERS,
        name=NAMES,
        description=DESCRIPTIONS,
        content_type=TYPES,
        file_id=st.none() | FILES,
    )
    def create_multipart(self, caller, name, description, content_type, file_id):
        method = "create_multipart_session"
        words = []
        if file_id is not None:
            method, words = "create_multipart_update_session", [file_id]
        answer = self.ask(
            caller,
            lambda: file_id is None or self.service.find(caller[0], file_id, "WRITE"),
            method,
            *words,
            name=name,
            description=description,
            content_type=content_type,
        )
        if answer:
            self.session_ids.append(answer[1])
            self.service.sessions[answer[1]] = MultipartSession(
                caller[0],
                file_id,
                name,
                description,
                content_type,
                caller[1],
            )

    @rule(
        caller=CALLERS,
        session_id=SESSIONS,
        index=st.sampled_from([1, 1, 2, 2, 3]),
        part=CONTENTS,
        is_damaged=st.integers(0, 5).map(lambda number: number == 0),
    )
    def upload_part(self, caller, session_id, index, part, is_damaged):
        if is_damaged and session_id in self.service.sessions:
            calls["upload_part"] += 1
            sending = self.session(caller).upload_part(
                session_id, index, part, checksum=hashlib.sha256(b"else").hexdigest()
            )
            with pytest.raises((ChecksumMismatchError, NotFoundError, ConflictError)):
                self.runner.run(sending)
            return
        answer = self.ask(
            caller,
            lambda: self.service.find_session(caller[0], session_id),
            "upload_part",
            session_id,
            index,
            part,
        )
        if answer:
            answer[0].parts[index] = part

    @rule(caller=CALLERS, session_id=SESSIONS, parts=st.lists(CONTENTS, min_size=1, max_size=3))
    def upload_parts(self, caller, session_id, parts):
        for index, part in reversed(list(enumerate(parts, 1))):
            answer = self.ask(
                caller,
                lambda: self.service.find_session(caller[0], session_id),
                "upload_part",
                session_id,
                index,
                part,
            )
            if answer:
                answer[0].parts[index] = part

    @rule(caller=CALLERS, session_id=SESSIONS)
    def commit(self, caller, session_id):
        session = self.service.sessions.get(session_id)
        if session is not None:
            # Which default holds when the surfaces are mixed isn't said anywhere.
            caller = caller[0], session.surface
        answer = self.ask(
            caller,
            lambda: self.service.committed(caller[0], session_id),
            "commit_multipart_session",
            session_id,
        )
        if answer:
            content, made = answer
            session.is_over = True
            revision = Revision(content, session.content_type)
            if session.file_id is None:
                self.made(
                    caller,
                    made.data_file_id,
                    made.revision_id,
                    revision,
                    name=session.name,
                    description=session.description,
                    # A multipart session can't say it, so that the surface's own default holds.
                    public=session.surface is Surface.PRODUCT,
                )
            else:
                assert made.data_file_id == session.file_id
                file = self.service.files[session.file_id]
                file.revisions[made.revision_id] = revision
                file.name, file.description = session.name, session.description

    @rule(caller=CALLERS, session_id=SESSIONS)
    def abort(self, caller, session_id):
        def predict():
            self.service.find_session(caller[0], session_id).is_over = True

        self.ask(caller, predict, "abort_multipart_session", session_id)

    @rule(caller=CALLERS, file_id=FILES, which=st.sampled_from([-1, 0, 1, 5]))
    def get_revision(self, caller, file_id, which):
        revision_id = -1 if which == -1 else self.revision_id(file_id, which)

        def predict():
            file = self.service.find(caller[0], file_id)
            chosen = file.current if which == -1 else revision_id
            self.service.find_revision(caller[0], file_id, chosen)
            return chosen

        answer = self.ask_product(caller, predict, "get_revision", file_id, revision_id)
        if answer:
            self.same_revision(file_id, *answer)

    @rule(caller=CALLERS, file_id=FILES)
    def list_revisions(self, caller, file_id):
        answer = self.ask_product(
            caller,
            lambda: self.service.find(caller[0], file_id),
            "list_revisions",
            file_id,
        )
        if answer:
            assert {one.data_file_revision_id for one in answer[1]} == set(answer[0].revisions)
            for one in answer[1]:
                self.same_revision(file_id, one.data_file_revision_id, one)

    @rule(caller=CALLERS, file_id=FILES, target_id=FILES)
    def copy_revision(self, caller, file_id, target_id):
        def predict():
            source = self.service.find(caller[0], file_id)
            target = self.service.find(caller[0], target_id, "WRITE")
            return target, attrs.evolve(source.revisions[source.current])

        answer = self.ask_product(caller, predict, "copy_revision", file_id, target_id)
        if answer:
            (target, revision), revision_id = answer
            target.revisions[revision_id] = revision

    @rule(caller=CALLERS, file_id=FILES)
    def duplicate_file(self, caller, file_id):
        answer = self.ask_product(
            caller,
            lambda: self.service.find(caller[0], file_id),
            "duplicate_file",
            file_id,
        )
        if answer:
            source, made = answer
            self.made(
                caller,
                made.data_file_id,
                made.current_revision.data_file_revision_id,
                attrs.evolve(source.revisions[source.current]),
                name=source.name,
                description=source.description,
                public=False,
            )
            self.same_file(made.data_file_id, made)


def test_any_sequence_of_calls_does_what_the_documentation_says(request, record_property):
    sequences = request.config.getoption("--sequences", default=30)
    calls.clear()
    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            report_multiple_bugs=False,
            # Finding the shortest sequence takes minutes; thirty calls can be read as they are.
            phases=[Phase.reuse, Phase.generate],
        ),
    )
    for name, count in calls.items():
        record_property(name, count)
