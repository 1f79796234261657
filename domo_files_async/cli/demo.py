"""`demo`: the main job from one end to the other, against an emulator of its own."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domo_files_async.cli import running
from domo_files_async.cli.output import complain, say, show, size_of, tracked
from domo_files_async.cli.target import Json  # noqa: TC001 - typer reads it
from domo_files_async.config import MIB
from domo_files_async.models import Grant, PermissionEntry

if TYPE_CHECKING:
    from domo_files_async.emulator import Emulator
    from domo_files_async.models import DownloadResult, UploadResult
    from domo_files_async.session import DomoFilesSession

__all__ = ("register",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A file of yours; by default one of random bytes is made.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    *,
    size: Annotated[int, typer.Option(help="MiB of the file that is made.", min=1)] = 512,
    as_json: Json = False,
) -> None:
    """Upload a large file in parallel parts to an emulator, get it back, and compare."""
    # Other commands don't wait for a web server's modules.
    from domo_files_async.emulator import Emulator  # noqa: PLC0415

    async def work(folder: Path) -> bool:
        source = file
        if source is None:
            source = folder / "demo.bin"
            say(f"Making a file of {size} MiB of random bytes …", as_json=as_json)
            await asyncio.to_thread(_make, source, size)
        async with Emulator(folder / "emulator") as emulator, emulator.session("ada") as ada:
            say(f"An emulator of the Files API is at {emulator.url}.", as_json=as_json)
            return await _round_trip(emulator, ada, source, folder, as_json=as_json)

    with tempfile.TemporaryDirectory(prefix="domo-files-") as folder:
        if not running.run(work(Path(folder))):
            raise typer.Exit(1)


async def _round_trip(
    emulator: Emulator, ada: DomoFilesSession, source: Path, folder: Path, *, as_json: bool
) -> bool:
    with tracked("upload", as_json=as_json) as progress:
        uploaded = await ada.upload(source, progress=progress)
    how = f"{uploaded.parts} parallel parts" if uploaded.parts else "one request"
    show(
        uploaded,
        as_json=as_json,
        text=f"Uploaded {source.name} as data file {uploaded.data_file_id} in {how}, "
        f"{_speed(uploaded)}",
    )
    revised = await ada.upload(b"a second revision", data_file_id=uploaded.data_file_id)
    details = await ada.get_file(uploaded.data_file_id, expand=["revisions"])
    show(
        revised,
        as_json=as_json,
        text=f"Added revision {revised.revision_id}; {details.name} has "
        f"{len(details.revisions)} revisions now.",
    )
    first = uploaded.revision_id or min(one.data_file_revision_id for one in details.revisions)
    with tracked("download", as_json=as_json) as progress:
        back = await ada.download(
            uploaded.data_file_id, folder / "back", revision_id=first, progress=progress
        )
    show(back, as_json=as_json, text=f"Downloaded the first one again, {_speed(back)}")
    sent = await asyncio.to_thread(_digest, source)
    received = await asyncio.to_thread(_digest, folder / "back")
    show(
        {"sent": sent, "received": received, "equal": sent == received},
        as_json=as_json,
        text=f"SHA-256 of what was sent: {sent}\nSHA-256 of what came back: {received}",
    )
    grace = PermissionEntry("USER", str(emulator.user_id("grace")), Grant.READ)
    await ada.grant_access(uploaded.data_file_id, grace)
    async with emulator.session("grace") as theirs:
        seen = [one.name for one in await theirs.list_files()]
    say(f"Shared it with another user, who sees: {', '.join(seen)}", as_json=as_json)
    if sent != received:
        complain("The two differ!")
        return False
    say("They are equal.", as_json=as_json)
    return True


def _speed(result: UploadResult | DownloadResult) -> str:
    rate = size_of(result.size_bytes / max(result.elapsed, 1e-6))
    return f"{size_of(result.size_bytes)} in {result.elapsed:.1f} s ({rate}/s)."


def _make(path: Path, mebibytes: int) -> None:
    with path.open("wb") as made:
        for _ in range(mebibytes):
            made.write(secrets.token_bytes(MIB))


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
