"""The API in dictionaries, as its documentation tells it: who sees what, and what a call changes.

Rule 1: nothing here is read from the emulator; ids are told by whoever made the real call.
Rule 2: where the documentation leaves the status open, what is refused is only `Gone`.
"""

from __future__ import annotations

import attrs

ALL = frozenset({"READ", "WRITE", "DELETE", "SHARE", "ADMIN"})


class RefusedError(Exception):
    """The service says no."""


class GoneError(RefusedError):
    """There is no such thing, or none that the caller may see, or it is over."""


class ForbiddenError(RefusedError):
    """The caller may see it, and has no right to do that."""


@attrs.define
class Revision:
    content: bytes
    content_type: str


@attrs.define
class File:
    owner: str
    name: str
    description: str | None
    public: bool
    rights: dict = attrs.field(factory=dict)
    revisions: dict = attrs.field(factory=dict)

    @property
    def current(self):
        """The id of the newest revision."""
        return max(self.revisions)

    def rights_of(self, user):
        """All of them for the owner, whatever the entries say; reading for all if it is public."""
        if user == self.owner:
            return ALL
        public = frozenset({"READ"}) if self.public else frozenset()
        return self.rights.get(("USER", user), frozenset()) | public


@attrs.define
class MultipartSession:
    owner: str
    file_id: int | None
    name: str
    description: str | None
    content_type: str
    surface: object
    parts: dict = attrs.field(factory=dict)
    is_over: bool = False


@attrs.define
class Service:
    """What is on the server."""

    files: dict = attrs.field(factory=dict)
    sessions: dict = attrs.field(factory=dict)

    def seen(self, user):
        """Give the data files that a user can see."""
        return {
            file_id: file for file_id, file in self.files.items() if "READ" in file.rights_of(user)
        }

    def find(self, user, file_id, right="READ"):
        file = self.seen(user).get(file_id)
        if file is None:
            raise GoneError
        if right not in file.rights_of(user):
            raise ForbiddenError
        return file

    def find_revision(self, user, file_id, revision_id, right="READ"):
        file = self.find(user, file_id, right)
        if revision_id not in file.revisions:
            raise GoneError
        return file.revisions[revision_id]

    def add_file(self, user, file_id, revision_id, revision, *, name, description, public):
        """Make a data file; its owner's entry is the only one."""
        rights = {("USER", user): ALL}
        self.files[file_id] = File(user, name, description, public, rights)
        self.files[file_id].revisions[revision_id] = revision

    def delete_revision(self, user, file_id, revision_id):
        """Delete one; with the last one there is no data file any more."""
        self.find_revision(user, file_id, revision_id, "DELETE")
        del self.files[file_id].revisions[revision_id]
        if not self.files[file_id].revisions:
            del self.files[file_id]

    def change_rights(self, user, file_id, rights, *, public):
        file = self.find(user, file_id)
        if (rights, public) != (file.rights, file.public):
            self.find(user, file_id, "SHARE")
        file.rights, file.public = rights, public

    def find_session(self, user, session_id):
        session = self.sessions.get(session_id)
        if session is None or session.owner != user or session.is_over:
            raise GoneError
        return session

    def committed(self, user, session_id):
        """Give the content that a commit would make a revision of."""
        session = self.find_session(user, session_id)
        if sorted(session.parts) != [*range(1, len(session.parts) + 1)] or not session.parts:
            raise GoneError
        if session.file_id is not None:
            self.find(user, session.file_id, "WRITE")
        return b"".join(session.parts[index] for index in sorted(session.parts))
