"""How long the model is compared with the emulator: a moment among all tests, or as one asks."""

from collections import Counter


def pytest_addoption(parser):
    parser.addoption("--sequences", type=int, default=30, help="How many sequences of calls.")


def pytest_terminal_summary(terminalreporter):
    seen = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.nodeid.startswith("tests/model/"):
            seen.update(dict(report.user_properties))
    if seen:
        sequences, refused = seen.pop("sequences"), seen.pop("refused")
        each = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
        terminalreporter.write_line(
            f"{seen.total()} calls in {sequences} sequences agree with the model, "
            f"{refused} of them refused: {each}"
        )
