"""What an upload's data file is called, as the caller said it and as the server is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from domo_files_async.engine.source import UNTYPED
from domo_files_async.protocol import requests
from domo_files_async.protocol.arguments import (
    checked_description,
    checked_id,
    checked_name,
    checked_type,
)

if TYPE_CHECKING:
    from domo_files_async.engine.shared import Shared
    from domo_files_async.models import DataFile, SessionId
    from domo_files_async.protocol.messages import Request

__all__ = ("Naming", "Sent", "Target")


@attrs.frozen(kw_only=True)
class Target:
    """What the upload shall be called and where it goes, as far as the caller said.

    Attributes:
        name: Of the data file.
        description: Of the data file.
        content_type: Of the revision.
        public: Whether all users of the instance may read it; `None`: private where it is new,
            as it is where it exists.
        data_file_id: The data file that gets a revision; `None` for a new one.
    """

    name: str | None = None
    description: str | None = None
    content_type: str | None = None
    public: bool | None = None
    data_file_id: int | None = None

    @property
    def wants_multipart(self) -> bool:
        """Whether it changes what a simple upload of a revision can't carry."""
        renamed = self.name is not None or self.description is not None
        return self.data_file_id is not None and renamed

    @property
    def access(self) -> bool | None:
        """Whether it shall be public; `None`: an existing data file keeps its access."""
        return bool(self.public) if self.data_file_id is None else self.public


@attrs.frozen(kw_only=True)
class Sent:
    """What the server is told of the data file.

    Attributes:
        name: Its name; `None` where a simple upload of a revision doesn't say it.
        description: Its description.
        content_type: The revision's.
    """

    name: str | None
    description: str | None
    content_type: str


@attrs.define(kw_only=True, eq=False)
class Naming:
    """Settles what the caller left open.

    Attributes:
        shared: The session's tools.
        target: As the caller said it.
        name: The data file's, as far as it is known.
        content_type: The revision's, as far as it is known.
    """

    shared: Shared
    target: Target
    name: str | None
    content_type: str | None
    _found: DataFile | None = attrs.field(default=None, init=False)

    def check(self) -> None:
        """Raise `InvalidArgumentError` for what the caller said and no server can be told."""
        if self.target.data_file_id is not None:
            checked_id(self.target.data_file_id)
        is_told = self.target.data_file_id is None or self.target.name is not None
        if self.name is not None and is_told:
            checked_name(self.name)
        if self.content_type is not None:
            checked_type(self.content_type)
        checked_description(self.target.description)

    async def settle(self) -> Sent:
        """Settle all of it; a revision keeps what nobody asked to change."""
        target = self.target
        name, description = self.name, target.description
        if target.data_file_id is not None:
            now = await self._current(target.data_file_id)
            name = now.name if target.name is None else target.name
            if description is None and now.metadata is not None:
                description = now.metadata.description
        await self.settle_type()
        self.name = name
        return self.sent(description)

    async def settle_type(self) -> str:
        """Settle the content type; a revision whose own says nothing has the file's."""
        if self.content_type is None and self.target.data_file_id is not None:
            now = (await self._current(self.target.data_file_id)).current_revision
            self.content_type = None if now is None else now.content_type
        self.content_type = self.content_type or UNTYPED
        return self.content_type

    def sent(self, description: str | None) -> Sent:
        """Give what the server is told, as far as it is settled."""
        content_type = UNTYPED if self.content_type is None else self.content_type
        return Sent(name=self.name, description=description, content_type=content_type)

    def opening(self, sent: Sent) -> Request[SessionId]:
        """Give the request that opens a multipart session, with its arguments checked."""
        name = "unnamed" if sent.name is None else sent.name
        if self.target.data_file_id is None:
            return requests.create_multipart_session(
                self.shared.rules,
                name=name,
                content_type=sent.content_type,
                description=sent.description,
            )
        return requests.create_multipart_update_session(
            self.shared.rules,
            self.target.data_file_id,
            name=name,
            content_type=sent.content_type,
            description=sent.description,
        )

    async def _current(self, data_file_id: int) -> DataFile:
        if self._found is None:
            self._found = await self.shared.attempts.send(
                requests.get_file(self.shared.rules, data_file_id, expand=("metadata",))
            )
        return self._found
