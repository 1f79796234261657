"""The emulator and a session on it as pytest fixtures, with faults by marker.

Rule 1: loading this costs nothing: the emulator is imported once a fixture is asked for.
Rule 2: both live in the loop that the test runs in, whether pytest-asyncio or anyio runs it.
Rule 3: a fault that no request has met fails its test, since that tested something else.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from domo_files_async.emulator import Emulator, Fault
    from domo_files_async.session import DomoFilesSession

__all__ = ("domo_emulator", "domo_session", "domo_session_options")

_MARKER = (
    "domo_fault(operation, *, optional=False, **words): let the emulator do wrong, in the words of "
    "Emulator.faults.add; the test fails if it isn't met as often as `times` says, unless it is "
    "optional"
)
_SMALL = 64 * 1024
_LOOPS: Final = ("function", "class", "module", "package", "session")
_ASYNCIO: Final = ("asyncio", "pytest_asyncio.plugin")
"""What pytest-asyncio is called: by its entry point, or as a project loads it by hand."""

_MADE = pytest.StashKey[dict[str, Any]]()
_OPTIONAL = pytest.StashKey[list["Fault"]]()


@pytest.fixture
def domo_emulator(request: pytest.FixtureRequest) -> Emulator:
    """Give an `Emulator` of the test's own, in its loop, with the faults of its markers."""
    emulator: Emulator = _entered(request, "_domo_emulator")
    optional = request.node.stash.setdefault(_OPTIONAL, [])
    for marker in reversed(list(request.node.iter_markers("domo_fault"))):
        words = {word: value for word, value in marker.kwargs.items() if word != "optional"}
        try:
            fault = emulator.faults.add(*marker.args, **words)
        except (TypeError, ValueError) as error:
            pytest.fail(f"@pytest.mark.domo_fault: {error}", pytrace=False)
        if marker.kwargs.get("optional"):
            optional.append(fault)
    return emulator


@pytest.fixture
def domo_session(request: pytest.FixtureRequest) -> DomoFilesSession:
    """Give a `DomoFilesSession` of one user on the emulator: it retries at once, in small parts."""
    session: DomoFilesSession = _entered(request, "_domo_session")
    return session


@pytest.fixture
def domo_session_options() -> dict[str, Any]:
    """Give keywords for `domo_session`: a fixture to be overridden."""
    return {}


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixtures that need the loops of pytest-asyncio."""
    config.addinivalue_line("markers", _MARKER)
    if _has_asyncio(config):
        config.pluginmanager.register(_fixtures_of_asyncio(), "domo_files_loops")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a test fail that has passed while a fault wasn't met."""
    result = yield
    emulator: Emulator | None = item.stash.get(_MADE, {}).get("_domo_emulator")
    optional = item.stash.get(_OPTIONAL, [])
    pending = [] if emulator is None else emulator.faults.pending
    unmet = [_told(fault) for fault in pending if fault not in optional]
    if unmet:
        pytest.fail(f"Not met as often as asked: {'; '.join(unmet)}", pytrace=False)
    return result


def _told(fault: Fault) -> str:
    said = ("part", "nth", "status", "maintenance", "reset", "stall", "rate", "corrupt", "truncate")
    words = [f"{name}={getattr(fault, name)!r}" for name in said if getattr(fault, name)]
    return f"{fault.operation}({', '.join(words)}), {fault.met} of {fault.times or 1}"


@pytest.fixture
def _domo_emulator() -> Emulator:
    from domo_files_async.emulator import Emulator  # noqa: PLC0415 - only where it is used

    return Emulator()


@pytest.fixture
def _domo_session(
    domo_emulator: Emulator, domo_session_options: dict[str, Any]
) -> DomoFilesSession:
    from domo_files_async.config import RetryPolicy, TransferConfig  # noqa: PLC0415 - the same

    quick: dict[str, Any] = {
        "retry": RetryPolicy(initial_backoff=0.001, max_backoff=0.01),
        "transfer": TransferConfig(part_size=_SMALL, multipart_threshold=_SMALL),
    }
    return domo_emulator.session("ada", **(quick | domo_session_options))


def _entered(request: pytest.FixtureRequest, name: str) -> Any:
    """Give what the fixture *name* makes, entered in the test's loop."""
    function = getattr(request.function, "hypothesis", None)
    if not inspect.iscoroutinefunction(getattr(function, "inner_test", request.function)):
        pytest.fail(
            "The emulator runs in the test's own loop: make it an `async def`", pytrace=False
        )
    request.node.stash.setdefault(_MADE, {})[name] = request.getfixturevalue(name)
    if "anyio_backend" in request.fixturenames:
        if "trio" in request.getfixturevalue("anyio_backend"):
            pytest.fail(
                "This is asyncio's: let anyio_backend be 'asyncio' for this test", pytrace=False
            )
        return request.getfixturevalue(f"{name}_anyio")
    if not _has_asyncio(request.config):
        pytest.fail(
            "Nothing runs this test: use pytest-asyncio, or pytest.mark.anyio", pytrace=False
        )
    marker = request.node.get_closest_marker("asyncio")
    loop = marker and marker.kwargs.get("loop_scope")
    return request.getfixturevalue(
        f"{name}_{loop or request.config.getini('asyncio_default_test_loop_scope')}"
    )


def _has_asyncio(config: pytest.Config) -> bool:
    return any(map(config.pluginmanager.has_plugin, _ASYNCIO))


def _entering(name: str) -> Callable[[pytest.FixtureRequest], AsyncGenerator[Any, None]]:
    async def enter(request: pytest.FixtureRequest) -> AsyncGenerator[Any, None]:
        async with request.node.stash[_MADE][name] as entered:
            yield entered

    return enter


def _fixtures_of_asyncio() -> ModuleType:
    """Make the fixtures that enter; a loop is said when one is made, so there is one for each."""
    import pytest_asyncio  # noqa: PLC0415 - it may not be there

    made = ModuleType("domo_files_loops")
    for name in ("_domo_emulator", "_domo_session"):
        for loop in _LOOPS:
            setattr(
                made, f"{name}_{loop}", pytest_asyncio.fixture(_entering(name), loop_scope=loop)
            )
    return made


_domo_emulator_anyio = pytest.fixture(_entering("_domo_emulator"))
_domo_session_anyio = pytest.fixture(_entering("_domo_session"))
