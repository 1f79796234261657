"""What can be imported, and what errors are to whoever catches them."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import domo_files_async
from domo_files_async import errors

ROOT = Path(domo_files_async.__file__).parent
MODULES = sorted(one.name for one in pkgutil.walk_packages([str(ROOT)], prefix="domo_files_async."))
PUBLIC = ("auth", "config", "errors", "events", "models", "session")
FACTS = {"status": 503, "method": "GET", "path": "/domo/x", "toe": "AB12", "retry_after": 2.5}
CAUSE = errors.ServerError("Out of order", **FACTS)
MADE = {
    errors.TransportError: errors.TransportError("The line is dead", request_sent=False),
    errors.UnexpectedResponseError: errors.UnexpectedResponseError(
        "name is missing", status=200, method="GET", path="/domo/x", field="[0].name"
    ),
    errors.PartUploadError: errors.PartUploadError(index=7, attempts=5, cause=CAUSE),
    errors.ChecksumMismatchError: errors.ChecksumMismatchError(
        "They differ", expected="ab", actual="cd", data_file_id=1, revision_id=2
    ),
    errors.OutcomeUnknownError: errors.OutcomeUnknownError(
        operation="upload_file", seen="nothing", data_file_id=1, session_id="s", cause=CAUSE
    ),
    errors.AccessNotSetError: errors.AccessNotSetError(
        data_file_id=1, revision_id=2, public=True, cause=CAUSE
    ),
    errors.ScanRejectedError: errors.ScanRejectedError(data_file_id=1, scan_state="INFECTED"),
}


def below(cls):
    """Give a class and all that inherit from it, in the order of a drawing."""
    return [cls, *(one for child in cls.__subclasses__() for one in below(child))]


TREE = below(errors.DomoFilesError)
ANSWERS = below(errors.ApiError)


def make(cls):
    if cls in MADE:
        return MADE[cls]
    return cls("Out of order", **FACTS) if cls in ANSWERS else cls("It went wrong: do better")


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_exists_and_stands_there_once(name):
    module = importlib.import_module(name)
    given = getattr(module, "__all__", ())
    assert isinstance(given, tuple)
    assert len(set(given)) == len(given)
    for public in given:
        assert hasattr(module, public)


def made_in(module):
    """Give the names that a module's own statements make."""
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_modules_all_is_complete(name):
    module = importlib.import_module(f"domo_files_async.{name}")
    made = {one for one in made_in(module) if not one.startswith("_")}
    assert made == set(module.__all__)


@pytest.mark.parametrize("name", ["domo_files_async", *MODULES])
def test_a_module_imports_from_another_only_what_that_offers(name):
    module = importlib.import_module(name)
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not (isinstance(node, ast.ImportFrom) and node.module):
            continue
        if node.module.partition(".")[0] == "domo_files_async":
            offered = getattr(importlib.import_module(node.module), "__all__", ())
            for alias in node.names:
                is_module = f"{node.module}.{alias.name}" in MODULES
                assert is_module or alias.name in offered or alias.name == "__version__"


def test_the_package_offers_all_of_its_errors_events_models_and_settings():
    offered = set(domo_files_async.__all__)
    assert len(offered) == len(domo_files_async.__all__)
    for name in ("errors", "events", "models", "auth", "session"):
        module = importlib.import_module(f"domo_files_async.{name}")
        values = {one for one in module.__all__ if inspect.isclass(getattr(module, one))}
        assert values <= offered
    for name in offered:
        assert getattr(domo_files_async, name) is not None


def test_a_star_gives_all_of_it_and_nothing_else():
    given = {}
    exec("from domo_files_async import *", given)  # noqa: S102 - what a user may write
    assert set(given) - {"__builtins__"} == set(domo_files_async.__all__)


@pytest.mark.parametrize(
    "name",
    [
        *("DomoFilesSession", "DeveloperToken", "AppSession", "Auth", "Surface", "COMPUTE"),
        *("TransferConfig", "RetryPolicy", "Timeouts", "DownloadStream", "Grant"),
        *("DataFile", "Revision", "FileMetadata", "Permissions", "PermissionEntry"),
        *("CommittedUpload", "UploadResult", "DownloadResult", "Progress", "SessionCreated"),
        *("PartStarted", "PartSent", "PartRetried", "Throttled", "Committed", "Aborted"),
        *("RequestFinished", "__version__"),
    ],
)
def test_what_the_contract_names_is_there(name):
    assert name in domo_files_async.__all__


IMPORTED = """
import sys
import domo_files_async
extras = "typer rich click fastapi fsspec opentelemetry distributed dask OpenSSL cryptography".split()
ours = ("domo_files_async.emulator", "domo_files_async.cli", "sqlite3", "aiohttp.test_utils")
print(*(name for name in sys.modules if name.startswith(ours) or name.split(".")[0] in extras))
"""


def test_an_import_loads_no_extra_and_not_the_emulator():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", IMPORTED],
        cwd=ROOT.parent,
        # Measuring coverage loads modules of its own.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_the_tree_of_errors_is_as_it_is_drawn():
    drawn, path = [], []
    for line in errors.__doc__.splitlines():
        found = re.fullmatch(r"    ([│├└─ ]*)(\w+Error)", line)
        if found:
            del path[len(found[1]) // 4 :]
            drawn.append((path[-1] if path else None, found[2]))
            path.append(found[2])
    real = [
        (parent, cls.__name__)
        for cls in TREE
        for parent in [
            None
            if cls is errors.DomoFilesError
            else next(one.__name__ for one in cls.__mro__[1:] if one in TREE)
        ]
    ]
    assert sorted(drawn, key=str) == sorted(real, key=str)


def test_each_error_is_public_and_lives_in_its_module():
    assert sorted(cls.__name__ for cls in TREE) == sorted(errors.__all__)
    assert {cls.__module__ for cls in TREE} == {"domo_files_async.errors"}


def test_a_bad_argument_is_a_value_error_and_a_late_scan_a_time_out():
    assert issubclass(errors.InvalidArgumentError, ValueError)
    assert issubclass(errors.ScanTimeoutError, TimeoutError)


def facts_of(error):
    """Give what an error carries, its cause's facts in place of the cause."""
    return {
        name: (type(value), str(value), facts_of(value)) if isinstance(value, Exception) else value
        for name, value in vars(error).items()
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling_with_all_it_carries(cls, protocol):
    error = make(cls)
    back = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
    assert type(back) is cls
    assert str(back) == str(error)
    assert back.args == error.args
    assert facts_of(back) == facts_of(error)


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_every_attribute_that_an_error_documents_is_set(cls):
    error = make(cls)
    documented = [
        name
        for base in cls.__mro__
        for name in re.findall(
            r"^ {4}(\w+): ", inspect.cleandoc(base.__dict__.get("__doc__") or ""), re.MULTILINE
        )
        if issubclass(base, errors.DomoFilesError)
    ]
    assert set(documented) == set(vars(error)) - {"__notes__"}


@pytest.mark.parametrize("cls", ANSWERS[1:], ids=lambda cls: cls.__name__)
def test_an_answer_says_what_happened_to_what_and_what_to_do(cls):
    said = str(make(cls))
    assert said.startswith(
        "GET /domo/x was answered with 503: Out of order (toe AB12); it asks to wait 2.5 s. "
    )
    assert said.endswith(cls.advice)
    assert len(cls.advice) > 20


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (errors.UnexpectedResponseError, ["GET /domo/x", "name is missing", "instance name"]),
        (errors.PartUploadError, ["Part 7", "5 attempts", "nothing was committed", str(CAUSE)]),
        (errors.OutcomeUnknownError, ["upload_file", str(CAUSE), "nothing", "Look before"]),
        (errors.AccessNotSetError, ["Data file 1", "public", str(CAUSE), "set its permissions"]),
        (errors.ScanRejectedError, ["Data file 1", "INFECTED", "don't use"]),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else None,
)
def test_a_failure_says_what_happened_to_what_and_what_to_do(cls, words):
    for word in words:
        assert word in str(make(cls))


def test_one_attempt_is_not_called_attempts():
    assert "in 1 attempt;" in str(errors.PartUploadError(index=1, attempts=1, cause=CAUSE))


def test_an_answer_without_words_is_still_a_sentence():
    error = errors.NotFoundError(status=404, method="GET", path="/x")
    assert str(error).startswith("GET /x was answered with 404. It doesn't exist")
    assert (error.message, error.toe, error.retry_after) == ("", None, None)


def test_a_connection_that_was_never_made_sent_nothing():
    assert errors.ConnectError("x").request_sent is False
    assert errors.TransportError("x").request_sent is True
    assert errors.StalledError("x").request_sent is True
