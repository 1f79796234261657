"""How many kills there are: a few among all tests, and as many as one asks for."""

from collections import Counter

BATCH = 10


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=30, help="How many processes are killed.")


def pytest_generate_tests(metafunc):
    if "batch" in metafunc.fixturenames:
        kills = metafunc.config.getoption("--kills", default=30)
        metafunc.parametrize("batch", range(-(-kills // BATCH)))


def pytest_terminal_summary(terminalreporter):
    seen = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.nodeid.startswith("tests/kill/"):
            seen.update(dict(report.user_properties))
    if seen["bytes"]:
        again = seen["bytes sent"] / seen["bytes"] - 1
        terminalreporter.write_line(
            f"{seen['kills']} kills in {seen['uploads']} uploads, each made once; "
            f"{again:.1%} of the bytes went again; "
            f"{seen['multipart sessions lost']} multipart sessions were lost before their first part"
        )
