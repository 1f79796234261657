"""How much is uploaded, and for how long: little among all tests, and as much as one asks for."""


def pytest_addoption(parser):
    group = parser.getgroup("soak")
    group.addoption("--soak-uploads", type=int, default=600, help="How many small uploads.")
    group.addoption("--soak-minutes", type=float, default=0.04, help="How long the large one is.")
    group.addoption("--soak-size", type=int, default=40, help="How large it is, in MiB.")
    group.addoption("--soak-seed", type=int, default=1, help="Which faults and bytes.")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        if report.nodeid.startswith("tests/soak/"):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")
