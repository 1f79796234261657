"""`sessions`: what uploads with a journal left open when their process died."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domo_files_async.cli import running
from domo_files_async.cli.groups import add_group
from domo_files_async.cli.output import complain, say, show, show_table, size_of, tracked
from domo_files_async.cli.target import Json, SurfaceChoice, Url, make_session
from domo_files_async.engine.journal import UploadJournal
from domo_files_async.errors import ApiError, DomoFilesError
from domo_files_async.planning.retry import GONE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from domo_files_async.engine.journal import JournaledUpload
    from domo_files_async.session import DomoFilesSession

__all__ = ("register",)

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

Journal = Annotated[
    Path,
    typer.Argument(help="The file that an UploadJournal keeps.", exists=True, dir_okay=False),
]
Ids = Annotated[
    list[int] | None,
    typer.Argument(help="Only these, by their numbers in the journal.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    about = "Show, resume and abort what uploads with a journal left open."
    add_group(app, "sessions", about, ls=list_sessions, resume=resume, abort=abort)


def list_sessions(journal: Journal, *, as_json: Json = False) -> None:
    """List what isn't finished."""

    async def work() -> list[JournaledUpload]:
        async with UploadJournal(journal) as opened:
            return await opened.uploads()

    uploads = running.run(work())
    if as_json:
        for one in uploads:
            show(one, as_json=True, text="")
    elif uploads:
        headings = ("id", "name", "target", "instance", "size", "parts", "begun", "state")
        show_table("", headings, map(_row, uploads))
    else:
        say("Nothing is left open.")


def resume(
    journal: Journal,
    ids: Ids = None,
    *,
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Go on with what was left open, file by file; parts that the server has aren't sent again."""

    async def one(domo: DomoFilesSession, opened: UploadJournal, left: JournaledUpload) -> None:
        if left.path is None:
            complain(
                f"Upload {left.id} ({left.name}) wasn't read from a file: only the program that "
                "began it has its bytes. Let that go on with it, or abort it"
            )
            raise typer.Exit(1)
        with tracked(left.name or left.path, as_json=as_json) as progress:
            result = await domo.upload(
                left.path,
                name=left.target.name,
                description=left.target.description,
                content_type=left.target.content_type,
                public=left.target.public,
                data_file_id=left.target.data_file_id,
                part_size=left.part_size,
                progress=progress,
                journal=opened,
            )
        show(
            {"id": left.id, "result": result},
            as_json=as_json,
            text=f"{result.name or left.path} is data file {result.data_file_id}: "
            f"{size_of(result.size_bytes)}, of which {size_of(left.bytes_done)} were there",
        )

    running.run(_each(journal, ids, url, surface, one))


def abort(
    journal: Journal,
    ids: Ids = None,
    *,
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Drop what was left open, on the server and in the journal.

    What may have made its revision is dropped only by its number: resuming it would tell.
    """
    named = frozenset(ids or ())

    async def one(domo: DomoFilesSession, opened: UploadJournal, left: JournaledUpload) -> None:
        if left.may_be_made and left.id not in named:
            complain(
                f"Upload {left.id} ({left.name}) may have made its revision: resume it, which "
                "looks for it first, or name its number, which drops it unseen"
            )
            raise typer.Exit(1)
        was_open = False
        if left.session_id is not None:
            try:
                await domo.abort_multipart_session(left.session_id)
                was_open = True
            except ApiError as error:
                if error.status not in GONE:
                    raise
        await opened.forget(left.id)
        text = f"Upload {left.id} ({left.name}) is aborted."
        if left.may_be_made and not was_open:
            text = f"Upload {left.id} ({left.name}) is forgotten; it may have made its revision."
        show({"id": left.id, "aborted": was_open}, as_json=as_json, text=text)

    running.run(_each(journal, ids, url, surface, one))


async def _each(
    journal: Path,
    ids: Sequence[int] | None,
    url: str | None,
    surface: SurfaceChoice,
    deed: Callable[[DomoFilesSession, UploadJournal, JournaledUpload], Awaitable[None]],
) -> None:
    """Do something with each upload that is this instance's and nobody's at work."""
    failed = 0
    async with UploadJournal(journal) as opened, make_session(url, surface) as domo:
        uploads = {one.id: one for one in await opened.uploads()}
        for number in dict.fromkeys(ids or uploads):
            left = uploads.get(number)
            why = _not_here(left, domo) if left else f"There is no upload {number} in {journal}"
            if why is None and left is not None:
                try:
                    await deed(domo, opened, left)
                except DomoFilesError as error:
                    why = f"Upload {number} ({left.name}): {error}"
                except typer.Exit:
                    failed += 1
            if why is not None:
                complain(why)
                failed += 1
    if failed:
        raise typer.Exit(1)


def _not_here(left: JournaledUpload, domo: DomoFilesSession) -> str | None:
    if left.is_held:
        return f"Upload {left.id} ({left.name}) is under way: a living process works on it"
    if (left.instance, left.surface) != (domo.instance, domo.surface.value):
        return (
            f"Upload {left.id} ({left.name}) goes to {left.instance} on the {left.surface} "
            "surface: say so with --url and --surface"
        )
    return None


def _row(left: JournaledUpload) -> tuple[str, ...]:
    target = left.target.data_file_id
    state = "under way" if left.is_held else "may be made" if left.may_be_made else "open"
    return (
        str(left.id),
        left.name or left.path or "",
        "a new data file" if target is None else f"data file {target}",
        left.instance,
        size_of(left.size),
        f"{left.parts_done} of {left.parts_total}" if left.parts_total else "one request",
        _ago((datetime.now(UTC) - left.began).total_seconds()),
        state,
    )


def _ago(seconds: float) -> str:
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{max(0.0, seconds):.0f} s ago"
