"""What the API answers, as frozen values in snake case of the documented names.

Fields that aren't known are kept in `extra` under the server's own names, and survive a
read, a change and a write.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping  # noqa: TC003 - cattrs reads the types of the fields
from datetime import datetime  # noqa: TC003
from pathlib import Path  # noqa: TC003
from typing import Any, NewType

import attrs

from domo_files_async.errors import InvalidArgumentError

__all__ = (
    "CommittedUpload",
    "DataFile",
    "DownloadResult",
    "FileMetadata",
    "Grant",
    "PermissionEntry",
    "Permissions",
    "Revision",
    "SessionId",
    "UploadResult",
)

SessionId = NewType("SessionId", str)
"""The server's name of a multipart session."""


class Grant(enum.Flag):
    """Rights on a data file; prints as the API writes it."""

    READ = enum.auto()
    WRITE = enum.auto()
    DELETE = enum.auto()
    SHARE = enum.auto()
    ADMIN = enum.auto()

    @classmethod
    def parse(cls, text: str) -> Grant | str:
        """Read a grant; one that says something else, or in another way, stays as it is."""
        grant = cls(0)
        for word in text.split("_"):
            if word not in cls.__members__:
                return text
            grant |= cls[word]
        return grant if str(grant) == text else text

    def __str__(self) -> str:
        return "_".join(right.name or "" for right in type(self) if right in self)


def _grant(value: Grant | str) -> Grant | str:
    if not isinstance(value, Grant | str) or value == Grant(0):
        raise InvalidArgumentError(
            f"A grant must be rights, such as Grant.READ, not {value!r}; "
            "to take all of them away, leave the entry out"
        )
    return Grant.parse(value) if isinstance(value, str) else value


def _entity_id(value: str | int) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidArgumentError(f"An entity_id must be a text or a whole number, not {value!r}")
    return str(value)


def _text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{attribute.name} must be a text, not {value!r}")


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{attribute.name} must be True or False, not {value!r}")


def _extra() -> Any:
    return attrs.field(factory=dict, kw_only=True, hash=False, repr=False)


@attrs.frozen
class Revision:
    """One version of a data file.

    Source: Files API, "Get all files metadata".
    """

    data_file_revision_id: int
    data_file_id: int | None = None
    content_type: str | None = None
    upload_user_id: int | None = None
    size_bytes: int | None = None
    upload_time_millis: int | None = None
    """How long the upload took, in milliseconds."""
    md5_hash: str | None = None
    """Hex, in the server's case."""
    datetime_uploaded: datetime | None = None
    """UTC."""
    scan_state: str | None = None
    """`SAFE`, or whatever else the server says: an open set."""
    sha256_hash_value: str | None = None
    """Hex, in the server's case."""
    metadata: FileMetadata | None = None
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class FileMetadata:
    """What `expand=metadata` adds; every field may be missing."""

    name: str | None = None
    description: str | None = None
    public: bool | None = None
    upload_user_id: int | None = None
    source_content_type: str | None = None
    source_content_length: int | None = None
    source_content_sha256: str | None = None
    source_content_md5: str | None = None
    source_content_scan_state: str | None = None
    source_content_last_scanned: str | None = None
    source_is_compressed: bool | None = None
    store_content_length: int | None = None
    store_content_md5: str | None = None
    store_compression_required: bool | None = None
    store_time_ms: int | None = None
    content_is_image_type: bool | None = None
    scanner_program_version: str | None = None
    scanner_database_version: str | None = None
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class DataFile:
    """A file in Domo.

    Source: Files API, "Get all files metadata" and "Get file metadata by ID".
    """

    data_file_id: int
    name: str
    """As it was given, quotes and all."""
    responsible_user_id: int | None = None
    current_revision: Revision | None = None
    datetime_created: datetime | None = None
    """UTC."""
    revisions: tuple[Revision, ...] = ()
    """All of them where they were asked for with `expand`."""
    existing: bool | None = None
    metadata: FileMetadata | None = None
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class PermissionEntry:
    """What one principal may do with a data file.

    Source: Files API, "Get file permissions".
    """

    entity_type: str = attrs.field(validator=_text)
    """`USER`, `GROUP` or whatever else the server says."""
    entity_id: str = attrs.field(converter=_entity_id)
    grant: Grant | str = attrs.field(converter=_grant)
    """A string where the server says something that `Grant` doesn't know."""
    pass_: str | None = "NONE"  # noqa: S105 - the API's word for what may be passed on
    extra: Mapping[str, Any] = _extra()

    @property
    def principal(self) -> tuple[str, str]:
        """Who it is about."""
        return self.entity_type, self.entity_id


def _entries(value: Iterable[PermissionEntry]) -> tuple[PermissionEntry, ...]:
    return tuple(map(_entry, value))


def _entry(value: object) -> PermissionEntry:
    if not isinstance(value, PermissionEntry):
        raise InvalidArgumentError(f"An entry must be a PermissionEntry, not {value!r}")
    return value


@attrs.frozen
class Permissions:
    """Who may do what with a data file.

    Source: Files API, "Get file permissions".
    """

    public_access: bool = attrs.field(validator=_flag)
    entries: tuple[PermissionEntry, ...] = attrs.field(default=(), converter=_entries)
    extra: Mapping[str, Any] = _extra()

    def with_entry(self, entry: PermissionEntry) -> Permissions:
        """Give the same with *entry*, in place of the one its principal had."""
        entries = list(self.entries)
        _entry(entry)
        for place, old in enumerate(entries):
            if old.principal == entry.principal:
                entries[place] = entry
                break
        else:
            entries.append(entry)
        return attrs.evolve(self, entries=entries)

    def without_entry(self, entity_type: str, entity_id: str | int) -> Permissions:
        """Give the same without this principal's entry."""
        principal = (entity_type, str(entity_id))
        return attrs.evolve(self, entries=[e for e in self.entries if e.principal != principal])

    def with_public_access(self, public_access: bool) -> Permissions:
        """Give the same, open to all users of the instance or not."""
        return attrs.evolve(self, public_access=public_access)


@attrs.frozen
class CommittedUpload:
    """What the commit of a multipart session made.

    Source: Multi-part Files API, "Completing a Multi-part Upload".
    """

    data_file_id: int
    revision_id: int


@attrs.frozen
class UploadResult:
    """What an upload made."""

    data_file_id: int
    revision_id: int | None
    """`None` where the API didn't say it."""
    name: str
    size_bytes: int
    content_type: str
    parts: int
    """0 for a simple upload."""
    attempts: int
    """How often parts, or the one body, were sent in all."""
    sha256: str | None
    """Of the whole, in lower-case hex, where it was computed."""
    elapsed: float
    """Seconds."""


@attrs.frozen
class DownloadResult:
    """What a download brought."""

    path: Path | None
    """`None` where the destination was no path."""
    data_file_id: int
    revision_id: int | None
    size_bytes: int
    sha256: str | None
    """Of what came, in lower-case hex."""
    elapsed: float
    """Seconds."""
