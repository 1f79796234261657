import subprocess
import sys
from pathlib import Path

import pytest

import domo_files_async
import domo_files_async.emulator.conveniences  # what is loaded in here stays what it is in there

pytest_plugins = ["pytester"]

ROOT = Path(domo_files_async.__file__).parent.parent
# Where the package is installed, it would be loaded by its entry point as well.
PLUGIN = ("-p", "no:domo_files", "-p", "domo_files_async.pytest_plugin")
PLAIN = (
    "-q",
    *PLUGIN,
    "-p",
    "no:cacheprovider",
    "-p",
    "no:blockbuster",
    "-p",
    "no:hypothesispytest",
)
STRICT = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
DOWN = (ROOT / "examples" / "testing" / "test_domo_is_down.py").read_text()
MARK = "@pytest.mark.asyncio"


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(text, *options, ini=STRICT):
        pytester.makeini(ini)
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess(*PLAIN, *options)

    return run


def test_domo_being_down_in_mid_upload_is_five_lines_with_pytest_asyncio(run):
    run(DOWN).assert_outcomes(passed=1)


def test_pytest_asyncio_may_be_loaded_by_its_modules_name(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(STRICT)
    pytester.makepyfile(DOWN)
    result = pytester.runpytest_subprocess("-q", "-p", "pytest_asyncio.plugin", *PLUGIN)
    result.assert_outcomes(passed=1)


def test_domo_being_down_in_mid_upload_is_five_lines_in_auto_mode(run):
    run(DOWN.replace(MARK, ""), "--asyncio-mode=auto").assert_outcomes(passed=1)


def test_domo_being_down_in_mid_upload_is_five_lines_with_anyio(run):
    backend = "\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    run(DOWN.replace(MARK, "@pytest.mark.anyio") + backend).assert_outcomes(passed=1)


@pytest.mark.parametrize("loop", ["function", "class", "module", "package", "session"])
def test_the_fixtures_live_in_whichever_loop_the_test_runs_in(run, loop):
    text = f"""
        import pytest

        @pytest.fixture
        def domo_session_options():
            return {{"user_agent": "mine"}}

        class TestIt:
            @pytest.mark.asyncio(loop_scope="{loop}")
            async def test_one(self, domo_session, domo_emulator):
                await domo_session.upload(b"x", name="x")
                assert domo_emulator.requests[0].headers["User-Agent"] == "mine"

            @pytest.mark.asyncio(loop_scope="{loop}")
            async def test_other(self, domo_session, domo_emulator):
                assert await domo_session.list_files() == []
    """
    run(text).assert_outcomes(passed=2)


def test_a_fixture_of_the_users_own_may_use_the_session(run):
    text = """
        import pytest

        @pytest.fixture
        async def stored(domo_session):
            return await domo_session.upload(b"x", name="x")

        async def test_it(stored, domo_session):
            assert (await domo_session.get_file(stored.data_file_id)).name == "x"
    """
    run(text, "--asyncio-mode=auto").assert_outcomes(passed=1)


def test_a_fault_that_is_not_met_fails_its_test_unless_it_is_optional(run):
    text = """
        import pytest
        pytestmark = pytest.mark.asyncio

        @pytest.mark.domo_fault("upload_file", status=503)
        async def test_unmet(domo_session):
            await domo_session.list_files()

        @pytest.mark.domo_fault("upload_file", status=503, optional=True)
        async def test_optional(domo_session):
            await domo_session.list_files()

        @pytest.mark.domo_fault("upload_file", status=503)
        async def test_fails_anyway(domo_session):
            raise KeyError("mine")

        async def test_of_its_own(domo_emulator):
            domo_emulator.faults.add("upload_file", status=503)
    """
    result = run(text)
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            *("*_ test_unmet _*", "Not met as often as asked: upload_file(status=503), 0 of 1"),
            "E * KeyError: 'mine'",
            *(
                "*_ test_of_its_own _*",
                "Not met as often as asked: upload_file(status=503), 0 of 1",
            ),
        ]
    )


def test_faults_are_met_in_the_order_that_they_are_written_in(run):
    text = """
        import pytest
        from domo_files_async import BadRequestError, PermissionDeniedError

        @pytest.mark.domo_fault("list_files", status=400)
        @pytest.mark.domo_fault("list_files", status=403)
        async def test_it(domo_session):
            for error in (BadRequestError, PermissionDeniedError):
                with pytest.raises(error):
                    await domo_session.list_files()
    """
    run(text, "--asyncio-mode=auto").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("def test_it(domo_session): pass", (), "make it an `async def`"),
        ("async def test_it(domo_session): pass", ("-p", "no:asyncio"), "use pytest-asyncio"),
        (
            "import pytest\n@pytest.mark.domo_fault('nonsense', status=500)\nasync def test_it(domo_session): pass",
            ("--asyncio-mode=auto",),
            "There is no operation 'nonsense'",
        ),
        (
            "import pytest\n@pytest.mark.domo_fault('list_files', word=500)\nasync def test_it(domo_session): pass",
            ("--asyncio-mode=auto",),
            "unexpected keyword argument 'word'",
        ),
        (
            "import pytest\n@pytest.mark.anyio\nasync def test_it(domo_session): pass\n@pytest.fixture\ndef anyio_backend(): return 'trio', {}",
            (),
            "let anyio_backend be 'asyncio'",
        ),
    ],
)
def test_a_wrong_use_is_told_in_words(run, text, options, said):
    result = run(text, *options, ini="[pytest]\n" if "no:asyncio" in options else STRICT)
    assert result.ret == 1
    assert said in result.stdout.str()


LOADED = """
import sys
print(*(one for one in sys.modules if one.startswith(("aiohttp", "attr", "domo_files_async."))))
"""


def test_loading_the_plugin_loads_neither_the_emulator_nor_the_client():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LOADED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(done.stdout.split()) <= {
        "domo_files_async.pytest_plugin",
        "domo_files_async.version",
    }


SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range(24))
@pytest.mark.domo_fault("upload_file", status=429, headers={"Retry-After": "0"})
async def test_each_has_an_emulator_of_its_own(domo_session, domo_emulator, number):
    result = await domo_session.upload(bytes(number), name=f"file-{number}")
    assert result.data_file_id == 401
    assert await domo_emulator.content(401) == bytes(number)

def test_they_run_in_several_processes():
    assert os.environ["PYTEST_XDIST_WORKER"] in {"gw0", "gw1", "gw2", "gw3"}
"""


def test_a_projects_tests_may_run_in_four_processes(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(STRICT + "asyncio_mode = auto\n")
    pytester.makepyfile(SUITE)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = ("-p", "asyncio", "-p", "xdist")
    result = pytester.runpytest_subprocess("-q", *plugins, *PLUGIN, "-n", "4")
    result.assert_outcomes(passed=25)
