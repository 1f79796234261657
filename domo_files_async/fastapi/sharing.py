"""One session for the whole application: opened by its lifespan, given to whoever asks."""

# FastAPI reads the annotations of a dependency while it runs, so they are no strings here.
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from fastapi.requests import HTTPConnection

from domo_files_async.errors import SessionStateError
from domo_files_async.session import DomoFilesSession

__all__ = ("DomoFiles", "get_session", "lifespan")

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]

_KEY = "domo_files"


def lifespan(
    make_session: Callable[[], DomoFilesSession] = DomoFilesSession.from_env,
    own: Lifespan | None = None,
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """Give an application's lifespan that opens one session: `FastAPI(lifespan=lifespan())`.

    Args:
        make_session: Makes the session, anew each time the application starts; by default of
            what the environment says.
        own: The application's own lifespan, which runs while the session is open; what it
            yields is kept.
    """

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with (
            make_session() as session,
            own(app) if own else nullcontext() as state,
        ):
            yield {**(state or {}), _KEY: session}

    return run


async def get_session(connection: HTTPConnection) -> DomoFilesSession:
    """Give the application's session; tests may override this dependency.

    Raises:
        SessionStateError: The application was started without `lifespan`.
    """
    session = getattr(connection.state, _KEY, None)
    if not isinstance(session, DomoFilesSession):
        raise SessionStateError(
            "The application has no session: give it lifespan=lifespan(...), and run it on a "
            "server that starts lifespans"
        )
    return session


DomoFiles = Annotated[DomoFilesSession, Depends(get_session)]
"""As a parameter's type in an endpoint: the application's session."""
