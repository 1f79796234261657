"""How many suspension points are cancelled: some among all tests, and all if one asks for it."""

from collections import Counter

import pytest

from domo_files_async.emulator import Emulator

pytest.register_assert_rewrite("tests.cancellation.operations", "tests.cancellation.world")

from tests.cancellation.world import DATA, World  # noqa: E402 - what it asserts is told in full

STRIDE = 11


def pytest_addoption(parser):
    parser.addoption(
        "--every-step", action="store_true", help="Cancel at every suspension point, not at some."
    )


@pytest.fixture
def stride(request):
    return 1 if request.config.getoption("--every-step", default=False) else STRIDE


@pytest.fixture
async def world(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    large = tmp_path / "large"
    large.write_bytes(DATA * 300)
    async with Emulator() as emulator:
        async with emulator.session("ada") as domo:
            uploaded = await domo.upload(DATA, name="there")
        yield World(emulator, tmp_path, source, large, uploaded.data_file_id)


def pytest_terminal_summary(terminalreporter):
    seen = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.nodeid.startswith("tests/cancellation/"):
            seen.update(dict(report.user_properties))
    if seen:
        each = ", ".join(f"{operation} {count}" for operation, count in sorted(seen.items()))
        terminalreporter.write_line(f"{seen.total()} suspension points cancelled: {each}")
