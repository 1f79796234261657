"""`bulk` and `migrate`: many files as one job that can be killed and run again."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import functools
import glob
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from domo_files_async import bulk
from domo_files_async.bulk.items import printable
from domo_files_async.cli import running
from domo_files_async.cli.credentials import Settings
from domo_files_async.cli.live import described, followed
from domo_files_async.cli.output import complain, say, show
from domo_files_async.cli.target import (
    Json,
    Local,
    LocalUser,
    SurfaceChoice,
    Url,
    choose,
    make_session,
    open_emulator,
    open_session,
)
from domo_files_async.errors import DomoFilesError, InvalidArgumentError
from domo_files_async.session import DomoFilesSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from domo_files_async.bulk import Item, Outcome
    from domo_files_async.config import Surface

__all__ = ("register",)

JobFile = Annotated[
    Path, typer.Argument(metavar="JOB", help="The job's journal, one file.", dir_okay=False)
]
Sources = Annotated[
    list[str] | None,
    typer.Argument(help="Folders, patterns in quotes, files, or fsspec URLs to add to the job."),
]
Manifest = Annotated[
    list[Path] | None,
    typer.Option(help="A CSV or JSON Lines file with an item a line.", exists=True),
]
Concurrency = Annotated[int, typer.Option(help="Small files at once.", min=1)]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="End at the first failure.")]
Settle = Annotated[
    float,
    typer.Option(help="Seconds after a kill in which what was being sent must have shown.", min=0),
]
_INTERRUPTED = 130
_UNDONE = {bulk.Status.FAILED, bulk.Status.UNKNOWN}

group = typer.Typer(
    help="Upload many files as one job that can be killed and run again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _Options(TypedDict):
    concurrency: int
    passes: int
    fail_fast: bool
    settle: float


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="bulk")
    app.command()(migrate)


@group.command()
def plan(
    job: JobFile,
    sources: Sources = None,
    *,
    manifest: Manifest = None,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask the server nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a run would do with each file, and why; nothing is sent."""

    async def work() -> None:
        counts = dict.fromkeys(bulk.Action, 0)
        async with contextlib.AsyncExitStack() as stack:
            opened = await stack.enter_async_context(bulk.Job(job))
            domo = None
            if not offline:
                domo = await stack.enter_async_context(open_session(local, user, url, surface))
            await _add(opened, sources, manifest)
            async for one in opened.plan(domo):
                counts[one.action] += 1
                target = "" if one.data_file_id is None else f" data file {one.data_file_id}"
                text = f"{one.action:6} {one.item.source}{target}: {one.because}"
                show(one, as_json=as_json, text=text)
        said = ", ".join(f"{count:,} to {action}" for action, count in counts.items() if count)
        say(said or "There is nothing in this job.", as_json=True)

    running.run(work())


@group.command()
def run(
    job: JobFile,
    sources: Sources = None,
    *,
    manifest: Manifest = None,
    concurrency: Concurrency = 32,
    passes: Annotated[int, typer.Option(help="How often what may be mended is tried.", min=1)] = 3,
    fail_fast: FailFast = False,
    settle: Settle = 15.0,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run it on the workers of this Dask scheduler, which read the sources themselves "
            "and take the credential from their own environment.",
        ),
    ] = None,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Upload what the job has left; the first Ctrl-C parks it, the second ends at once."""
    if dask is not None and local is not None:
        raise InvalidArgumentError("Give --local or --dask, not both: workers can't reach it")

    async def work() -> int:
        async with contextlib.AsyncExitStack() as stack:
            opened = await stack.enter_async_context(bulk.Job(job))
            adding = asyncio.create_task(_add(opened, sources, manifest))
            # The job is known to be growing before it is run.
            await asyncio.sleep(0)
            options = _Options(
                concurrency=concurrency, passes=passes, fail_fast=fail_fast, settle=settle
            )
            if dask is None:
                domo = await stack.enter_async_context(open_session(local, user, url, surface))
                outcomes = opened.run(domo, **options)
            else:
                client = await stack.enter_async_context(_cluster(dask))
                outcomes = _on_dask(opened, client, url, surface, options)
            try:
                code = await _follow(opened, outcomes, as_json=as_json)
                await adding
            finally:
                adding.cancel()
            return code

    _end(running.run(work()))


def migrate(
    job: JobFile,
    ids: Annotated[list[int] | None, typer.Argument(help="Data files; by default all.")] = None,
    *,
    revisions: Annotated[str, typer.Option(help="all or current.")] = "all",
    principals: Annotated[
        Path | None,
        typer.Option(help="CSV (old,new) or JSON of users' and groups' ids.", exists=True),
    ] = None,
    from_local: Annotated[
        Path | None, typer.Option(help="The source is an emulator kept in this folder.")
    ] = None,
    id_map: Annotated[Path | None, typer.Option(help="Write old and new ids: .csv, .json.")] = None,
    concurrency: Concurrency = 8,
    fail_fast: FailFast = False,
    settle: Settle = 15.0,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Move data files from one instance to another, with revisions and permissions.

    The target is named as everywhere. The source is named by the same variables with SOURCE in
    them: DOMO_SOURCE_INSTANCE and DOMO_SOURCE_ACCESS_TOKEN, or DOMO_SOURCE_URL and
    DOMO_SOURCE_APP_SESSION.
    """
    mapped = {} if principals is None else _principals(principals)

    async def work() -> int:
        async with contextlib.AsyncExitStack() as stack:
            source = await _source(stack, from_local, user)
            domo = await stack.enter_async_context(open_session(local, user, url, surface))
            opened = await stack.enter_async_context(bulk.Job(job))
            await opened.add(bulk.from_session(source, ids=ids or None, revisions=revisions))
            outcomes = opened.run(
                domo,
                source=source,
                principals=mapped,
                revisions=revisions,
                concurrency=concurrency,
                fail_fast=fail_fast,
                settle=settle,
            )
            code = await _follow(opened, outcomes, as_json=as_json)
            if id_map is not None:
                (await opened.report()).write_id_map(id_map)
            return code

    _end(running.run(work()))


@group.command()
def status(
    job: JobFile,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the run has ended.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say how far a job is, also while another process runs it."""

    async def work() -> None:
        async with bulk.Job(_existing(job)) as opened:
            while True:
                now = await opened.status()
                show(now, as_json=as_json, text=described(now))
                if not (follow and now.is_running):
                    return
                await asyncio.sleep(2)

    running.run(work())


@group.command()
def verify(
    job: JobFile,
    *,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read all sources and all data files again.")
    ] = False,
    local: Local = None,
    user: LocalUser = "ada",
    url: Url = None,
    surface: SurfaceChoice = None,
    as_json: Json = False,
) -> None:
    """Compare what a job left with what the server has; 1 if anything isn't as it should be."""

    async def work() -> int:
        found: set[str] = set()
        async with (
            open_session(local, user, url, surface) as domo,
            bulk.Job(_existing(job)) as opened,
        ):
            async for one in bulk.verify(opened, domo, thorough=thorough):
                found.add(one.item.key)
                text = f"{one.kind:8} {one.item.source}: {one.detail}"
                show(one, as_json=as_json, text=text)
            items = (await opened.status()).items
        said = f"{items - len(found):,} of {items:,} files are there as they should be"
        say(said if found else f"All {items:,} files are there as they should be", as_json=True)
        return int(bool(found))

    _end(running.run(work()))


@group.command()
def report(
    job: JobFile,
    *,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    json_file: Annotated[Path | None, typer.Option("--numbers", help="Write JSON.")] = None,
    items: Annotated[Path | None, typer.Option("--items", help="Write a CSV line an item.")] = None,
    id_map: Annotated[Path | None, typer.Option(help="Write old and new ids: .csv, .json.")] = None,
    as_json: Json = False,
) -> None:
    """Write what a job came to."""

    async def work() -> None:
        async with bulk.Job(_existing(job)) as opened:
            made = await opened.report()
            writing: list[tuple[Path | None, Callable[[Path], None]]] = [
                (html, made.write_html),
                (json_file, made.write_json),
                (items, made.write_csv),
                (id_map, made.write_id_map),
            ]
            for path, write in writing:
                if path is not None:
                    await asyncio.to_thread(write, path)
            now = await opened.status()
            show(now, as_json=as_json, text=described(now))

    running.run(work())


@group.command()
def resolve(
    job: JobFile,
    source: Annotated[str, typer.Argument(help="The item's source, as the report shows it.")],
    *,
    made: Annotated[int | None, typer.Option(help="It is there, as this data file.")] = None,
    send_again: Annotated[bool, typer.Option("--send-again", help="It isn't there.")] = False,
    as_json: Json = False,
) -> None:
    """Decide what became of a file that ended otherwise than it should."""
    if (made is None) == (not send_again):
        raise InvalidArgumentError("Say either --made ID or --send-again")

    async def work() -> None:
        async with bulk.Job(_existing(job)) as opened:
            await opened.resolve(source, data_file_id=made)
        text = f"{source} is sent again by the next run." if made is None else f"{source} is done."
        show({"source": source, "data_file_id": made}, as_json=as_json, text=text)

    running.run(work())


@contextlib.asynccontextmanager
async def _cluster(address: str) -> AsyncIterator[Any]:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InvalidArgumentError(
            "--dask needs the extra: pip install 'domo-files-async[dask]'"
        ) from error
    try:
        connect: Any = Client
        client = await connect(address, asynchronous=True)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"There is no Dask scheduler at {address}: {error}") from error
    async with client:
        yield client


def _on_dask(
    job: bulk.Job, client: Any, url: str | None, surface: Surface | None, options: _Options
) -> AsyncIterator[Outcome]:
    from domo_files_async.dask import run_on_dask  # noqa: PLC0415 - an extra

    return run_on_dask(job, client, functools.partial(make_session, url, surface), **options)


async def _add(job: bulk.Job, sources: list[str] | None, manifests: list[Path] | None) -> None:
    for source in sources or ():
        await job.add(_items(source))
    for manifest in manifests or ():
        await job.add(bulk.from_manifest(manifest))


def _items(source: str) -> Iterable[Item]:
    if "://" in source:
        return bulk.from_urls(source)
    path = Path(source)
    if path.is_dir():
        return bulk.from_directory(path)
    if path.is_file() or not glob.has_magic(source):
        # What isn't there is an item that fails.
        return [bulk.Item(source=source, name=printable(path.name))]
    return _matching(source)


def _matching(pattern: str) -> Iterator[Item]:
    item = None
    for item in bulk.from_glob(pattern):
        yield item
    if item is None:
        say(f"Nothing matches {pattern}", as_json=True)


async def _follow(job: bulk.Job, outcomes: AsyncIterator[Outcome], *, as_json: bool) -> int:
    """Show outcomes as they come; give the exit code."""
    undone = skipped = done = 0
    with _parked_by_interrupts(job) as interrupted:
        try:
            async with followed(job, as_json=as_json):
                async for one in outcomes:
                    undone += one.status in _UNDONE
                    skipped += one.status is bulk.Status.SKIPPED
                    done += one.status in {bulk.Status.UPLOADED, bulk.Status.REVISED}
                    if as_json:
                        show(one, as_json=True, text="")
                    elif one.status in _UNDONE:
                        complain(f"{one.item.source} {one.status}: {one.error}")
        except DomoFilesError as error:
            complain(str(error))
            undone += 1
    now = await job.status()
    words = [f"{done:,} done", f"{skipped:,} were done before"]
    words += [f"{now.failed:,} failed"] * bool(now.failed)
    words += [f"{now.unknown:,} unknown"] * bool(now.unknown)
    words += [f"{now.waiting:,} left: run it again"] * bool(now.waiting)
    say(", ".join(words), as_json=True)
    if interrupted:
        return _INTERRUPTED
    return int(bool(undone or now.waiting))


@contextlib.contextmanager
def _parked_by_interrupts(job: bulk.Job) -> Iterator[list[int]]:
    """Park at the first Ctrl-C, end at the second; what came is in the list."""
    came: list[int] = []
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        came.append(signal.SIGINT)
        if len(came) > 1:
            # The journal is made for it. The live display has put itself before `sys.stderr`.
            if sys.__stderr__ is not None and sys.__stderr__.isatty():
                sys.__stderr__.write("\x1b[?25h")
                sys.__stderr__.flush()
            os._exit(_INTERRUPTED)
        complain("Parking: what is under way is finished. Ctrl-C again ends at once.")
        job.park()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    except NotImplementedError:
        yield came
        return
    try:
        yield came
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _existing(job: Path) -> Path:
    if not job.exists():
        raise InvalidArgumentError(f"There is no job {job}: begin it with `domo-files bulk run`")
    return job


async def _source(
    stack: contextlib.AsyncExitStack, folder: Path | None, user: str
) -> DomoFilesSession:
    if folder is not None:
        emulator = await stack.enter_async_context(open_emulator(folder))
        return await stack.enter_async_context(emulator.session(user))
    values = {
        name.replace("DOMO_SOURCE_", "DOMO_"): value
        for name, value in os.environ.items()
        if name.startswith("DOMO_SOURCE_")
    }
    if not values:
        raise InvalidArgumentError(
            "No source is named: set DOMO_SOURCE_INSTANCE and DOMO_SOURCE_ACCESS_TOKEN, or "
            "DOMO_SOURCE_URL and DOMO_SOURCE_APP_SESSION"
        )
    instance, auth, chosen = choose(Settings(values, "the environment"), None, None)
    return await stack.enter_async_context(DomoFilesSession(instance, auth=auth, surface=chosen))


def _principals(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            found: Any = json.loads(text)
            return {str(old): str(new) for old, new in found.items()}
        rows = [row for row in csv.reader(text.splitlines()) if row]
        return {old.strip(): new.strip() for old, new in rows}
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidArgumentError(
            f"{path} must have an old and a new id in each line, or be a JSON object: {error}"
        ) from error
