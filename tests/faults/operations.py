"""The requests that a fault can meet: how each is brought about, and what it leaves when done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domo_files_async import Surface

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domo_files_async import DomoFilesSession
    from domo_files_async.emulator import Emulator

__all__ = ("NEW", "OPERATIONS", "Operation", "World", "make_world")

OLD = b"old content"
NEW = bytes(range(256)) * 12
"""Three parts of 1,024 bytes."""


@dataclass
class World:
    """What is there before the fault."""

    domo: DomoFilesSession
    one: int
    first: int
    two: int
    session_id: str = ""


@dataclass(frozen=True)
class Operation:
    """One kind of request, in one place.

    `effect` is what carrying it out once changes on the server.
    """

    name: str
    request: str
    act: Callable[[World], Awaitable[Any]]
    effect: dict[str, int] = field(default_factory=dict)
    reads: str = "json"
    writes: bool = False
    repeatable: bool = True
    body: bool = False
    part: int | None = None
    needs_session: bool = False
    product_only: bool = False
    engine: bool = False
    removes: bool = False
    good: Callable[[Any, World], bool] | None = None

    @property
    def surfaces(self):
        return (Surface.PRODUCT,) if self.product_only else tuple(Surface)


async def make_world(emulator: Emulator, domo: DomoFilesSession, operation: Operation) -> World:
    one = await domo.upload_file(OLD, name="one")
    first = emulator.files[one][0]
    await domo.upload_revision(one, OLD + b"er")
    two = await domo.upload_file(b"two", name="two")
    world = World(domo, one, first, two)
    if operation.needs_session:
        world.session_id = await domo.create_multipart_session(
            name="three", content_type="text/plain"
        )
        if operation.request == "commit_multipart_session":
            await domo.upload_part(world.session_id, 1, NEW)
    return world


async def _permissions(world):
    permissions = await world.domo.get_permissions(world.one)
    await world.domo.update_permissions(world.one, permissions.with_public_access(True))


async def _read(world):
    async with world.domo.open_download(world.one) as stream:
        return await stream.read()


async def _ranged(world):
    async with world.domo.open_download(world.one, byte_range=(3, 9)) as stream:
        return await stream.read()


async def _write(world):
    async with world.domo.open_upload("new", part_size=1024) as writer:
        for start in range(0, len(NEW), 100):
            await writer.write(NEW[start : start + 100])
    return writer.result


class _Kept:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data
        return len(data)


async def _download(world):
    kept = _Kept()
    await world.domo.download(world.one, kept)
    return kept.data


_FILE = {"files": 1}
_REVISION = {"revisions": 1}
_CURRENT = OLD + b"er"


def _is_int(value, _):
    return isinstance(value, int)


def _upload(name, request, act, **more):
    return Operation(name, request, act, engine=True, writes=True, **more)


def _multipart(target, act, effect):
    create = "create_multipart_session" if effect is _FILE else "create_multipart_update_session"
    yield _upload(f"{target}: opening", create, act, effect=effect)
    for place, part in (("first", 1), ("middle", 2), ("last", 3)):
        yield _upload(
            f"{target}: {place} part",
            "upload_part",
            act,
            effect=effect,
            reads="part",
            body=True,
            part=part,
        )
    yield _upload(
        f"{target}: commit",
        "commit_multipart_session",
        act,
        effect=effect,
        repeatable=False,
    )


OPERATIONS = (
    Operation("list_files", "list_files", lambda w: w.domo.list_files()),
    Operation(
        "list_files of ids",
        "list_files",
        lambda w: w.domo.list_files(ids=[w.two, w.one]),
        good=lambda v, w: [f.data_file_id for f in v] == [w.two, w.one],
    ),
    Operation(
        "list_files of one's own",
        "get_current_user",
        lambda w: w.domo.list_files(limit_to_owned=True),
        product_only=True,
    ),
    Operation(
        "get_file",
        "get_file",
        lambda w: w.domo.get_file(w.one),
        good=lambda v, w: v.data_file_id == w.one,
    ),
    Operation(
        "open_download",
        "open_download",
        _read,
        reads="stream",
        good=lambda v, _: v == _CURRENT,
    ),
    Operation(
        "open_download of a range",
        "open_download",
        _ranged,
        reads="stream",
        good=lambda v, _: v == _CURRENT[3:9],
    ),
    Operation("get_permissions", "get_permissions", lambda w: w.domo.get_permissions(w.one)),
    Operation(
        "update_permissions",
        "update_permissions",
        _permissions,
        effect={"public": 1},
        reads="nothing",
        writes=True,
        body=True,
    ),
    Operation(
        "upload_file",
        "upload_file",
        lambda w: w.domo.upload_file(NEW, name="new"),
        effect=_FILE,
        writes=True,
        repeatable=False,
        body=True,
        good=_is_int,
    ),
    Operation(
        "upload_revision",
        "upload_revision",
        lambda w: w.domo.upload_revision(w.one, NEW),
        effect=_REVISION,
        writes=True,
        repeatable=False,
        body=True,
        good=_is_int,
    ),
    Operation(
        "delete_revision",
        "delete_revision",
        lambda w: w.domo.delete_revision(w.one, w.first),
        effect={"revisions": -1},
        reads="nothing",
        writes=True,
        removes=True,
    ),
    Operation(
        "create_multipart_session",
        "create_multipart_session",
        lambda w: w.domo.create_multipart_session(name="x", content_type="a/b"),
        effect={"sessions": 1},
        writes=True,
        body=True,
    ),
    Operation(
        "create_multipart_update_session",
        "create_multipart_update_session",
        lambda w: w.domo.create_multipart_update_session(w.one, name="x", content_type="a/b"),
        effect={"sessions": 1},
        writes=True,
        body=True,
    ),
    Operation(
        "upload_part",
        "upload_part",
        lambda w: w.domo.upload_part(w.session_id, 10_000, NEW),
        reads="part",
        writes=True,
        body=True,
        needs_session=True,
    ),
    Operation(
        "commit_multipart_session",
        "commit_multipart_session",
        lambda w: w.domo.commit_multipart_session(w.session_id),
        effect={"files": 1, "sessions": -1},
        writes=True,
        repeatable=False,
        needs_session=True,
        good=lambda v, _: _is_int(v.data_file_id, _) and _is_int(v.revision_id, _),
    ),
    Operation(
        "abort_multipart_session",
        "abort_multipart_session",
        lambda w: w.domo.abort_multipart_session(w.session_id),
        effect={"sessions": -1},
        reads="nothing",
        writes=True,
        needs_session=True,
        removes=True,
    ),
    Operation(
        "get_revision",
        "get_revision",
        lambda w: w.domo.get_revision(w.one, w.first),
        product_only=True,
    ),
    Operation(
        "list_revisions",
        "list_revisions",
        lambda w: w.domo.list_revisions(w.one),
        product_only=True,
    ),
    Operation(
        "copy_revision",
        "copy_revision",
        lambda w: w.domo.copy_revision(w.one, w.two),
        effect=_REVISION,
        writes=True,
        repeatable=False,
        product_only=True,
        good=_is_int,
    ),
    Operation(
        "duplicate_file",
        "duplicate_file",
        lambda w: w.domo.duplicate_file(w.one),
        effect=_FILE,
        writes=True,
        repeatable=False,
        product_only=True,
    ),
    Operation(
        "delete_file",
        "delete_file",
        lambda w: w.domo.delete_file(w.two),
        effect={"files": -1},
        reads="nothing",
        writes=True,
        removes=True,
        product_only=True,
    ),
    _upload(
        "upload, simple",
        "upload_file",
        lambda w: w.domo.upload(NEW[:500], name="new"),
        effect=_FILE,
        repeatable=False,
        body=True,
    ),
    _upload(
        "upload, simple revision",
        "upload_revision",
        lambda w: w.domo.upload(NEW[:500], data_file_id=w.one),
        effect=_REVISION,
        repeatable=False,
        body=True,
    ),
    *_multipart("upload", lambda w: w.domo.upload(NEW, name="new", part_size=1024), _FILE),
    *_multipart(
        "upload of a revision",
        lambda w: w.domo.upload(NEW, name="r", data_file_id=w.one, part_size=1024),
        _REVISION,
    ),
    *_multipart("open_upload", _write, _FILE),
    _upload(
        "upload: access",
        "update_permissions",
        lambda w: w.domo.upload(NEW, name="new", part_size=1024),
        effect=_FILE,
        reads="nothing",
        body=True,
        product_only=True,
    ),
    Operation(
        "download: details",
        "get_file",
        _download,
        engine=True,
        good=lambda v, _: v == _CURRENT,
    ),
    Operation(
        "download: bytes",
        "open_download",
        _download,
        reads="stream",
        engine=True,
        good=lambda v, _: v == _CURRENT,
    ),
)
