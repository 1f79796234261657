"""How many cells of the matrix held."""


def pytest_terminal_summary(terminalreporter):
    cells = [
        number
        for report in terminalreporter.getreports("passed")
        if report.nodeid.startswith("tests/faults/")
        for name, number in report.user_properties
        if name == "cells"
    ]
    if cells:
        terminalreporter.write_line(f"{sum(cells)} cells of {len(cells)} faults held")
