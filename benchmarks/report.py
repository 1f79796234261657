"""From the results in JSON to pictures, and to the page that shows them with each promise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.plots import Axis, Bar, Panel, draw_bars, draw_lines

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator, Mapping

NAMES = {
    "ours": "domo_files_async",
    "pyopenssl": "… with its extra openssl",
    "native": "native C, 4 threads",
    "aiohttp": "aiohttp, the plain way",
    "httpx": "httpx, the same way",
    "requests": "requests",
    "boto3": "boto3 / s3transfer",
    "obstore": "obstore (Rust)",
    "curl": "curl, then sha256sum",
}
OURS = (".ours", ".pyopenssl")
MEASURES = {
    "MB/s": "Rate, MB/s: more is better",
    "files/s": "Rate, files a second: more is better",
    "CPU s": "CPU of the transfer, seconds: less is better",
    "memory MiB": "Peak memory above the idle process, MiB: less is better",
    "longest stall ms": "Longest stall of a 1 ms ticker beside it, ms: less is better",
}
TITLES = {
    "upload": "1 GiB uploaded in parts of 16 MiB, each with its SHA-256",
    "download": "1 GiB downloaded and verified",
    "small": "3,000 files of 4 KiB uploaded",
    "memory": "Peak memory above the idle imported process",
    "parts": "What one part costs",
    "chunks": "What a stream of 1 MB costs, by the size of its chunks",
    "fairness": "An upload of 10 KiB, alone and beside one of 4 GiB",
    "imports": "What it takes to begin",
    "links": "Adaptive concurrency beside the best fixed one",
    "plugin": "The start of the pytest plugin's fixtures",
}
LIMIT = 80
OF_BEST = 0.9
KEPT = {True: "kept", False: "**not yet**"}


def write_pictures(folder: pathlib.Path) -> None:
    """Draw all results of *folder*, and write the page about them."""
    page = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks`, whose README says how each figure is taken. Bars are",
        "medians, with least and greatest.",
    ]
    for name, title in TITLES.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        page += ["", f"## {title}", ""]
        for suffix, picture in _pictures(name, title, result):
            file = f"{name}{suffix}.svg"
            (folder / file).write_text(picture, encoding="utf-8")
            page += [f"![{title}]({file})", ""]
        page += ["| promise | measured | |", "|---|---|---|"]
        page += [
            f"| {one['promise']} | {one['found']} | {KEPT[one['is_reached']]} |"
            for one in result["promises"]
        ]
        page += ["", f"On {_machine(result['machine'])}."]
    (folder / "README.md").write_text("\n".join(page) + "\n", encoding="utf-8")


def _machine(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['cores']} cores of {facts['processor']}, {facts['system']}, "
        f"{facts['python']}, {facts['openssl']}, measured {facts['date']}, "
        f"commit {facts['commit']}"
    )


def _pictures(name: str, title: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the end of each picture's file name, and the picture; a single figure has none."""
    if name not in DRAW:
        return iter(())
    facts = result["machine"]
    where = f"{facts['python']}, {facts['cores']} cores, loopback"
    return DRAW[name](title, where, result["figures"])


def _transfer(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for protocol, found in figures.items():
        suffix = "-" + protocol.lower().replace(" ", "-").replace(",", "")
        yield suffix, draw_bars(f"{title}, {protocol}", where, _contest(found["who"]))


def _small(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "", draw_bars(title, f"{where}, plain HTTP", _contest(figures["who"]))


def _parts(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    costs = [(float(count), cost["µs of CPU"]["median"]) for count, cost in figures.items()]
    axes = Axis("parts in the upload", is_log=True), Axis("CPU of a part, µs")
    yield "", draw_lines(title, where, *axes, {"parts of 16 KiB": costs})


def _chunks(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for key, found in figures.items():
        way, chunk = key.split(", ")
        lines.setdefault(way, []).append((float(chunk), found["CPU ms"]["median"]))
    axes = Axis("bytes in a chunk", is_log=True), Axis("CPU, ms", is_log=True, is_round=True)
    yield "", draw_lines(title, where, *axes, lines)


def _fairness(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    panels = [
        Panel(
            f"{protocol}: time of the small one, ms: less is better",
            [
                Bar("alone", **found["alone ms"]),
                Bar("beside 4 GiB", **found["beside ms"], is_ours=True),
            ],
        )
        for protocol, found in figures.items()
    ]
    yield "", draw_bars(title, where, panels)


def _imports(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bars = [Bar(what, **found["ms"], is_ours="domo" in what) for what, found in figures.items()]
    yield "", draw_bars(title, where, [Panel("Milliseconds: less is better", bars)])


def _links(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shares = {link: found["share"] for link, found in figures.items()}
    bars = [Bar(link, share, share, share, share >= OF_BEST) for link, share in shares.items()]
    head = "Share of the best rate, by ms, MB/s each, MB/s in all, 429 above: more is better"
    yield "", draw_bars(title, where, [Panel(head, bars)])


def _contest(who: Mapping[str, Mapping[str, Any]]) -> list[Panel]:
    measures = [name for name in next(iter(who.values())) if name in MEASURES]
    return [
        Panel(
            MEASURES[measure],
            [
                Bar(NAMES[one.partition(".")[2]], **found[measure], is_ours=one.endswith(OURS))
                for one, found in who.items()
            ],
        )
        for measure in measures
    ]


def _memory(title: str, where: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for protocol in ("plain HTTP", "TLS"):
        yield from _memory_over(protocol, title, where, figures)


def _memory_over(
    protocol: str, title: str, where: str, figures: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    kinds = {
        "by concurrency": Axis("requests at once", is_log=True),
        "by part size": Axis("MB in a part"),
        "by uploads at once": Axis("uploads at once", is_log=True),
    }
    for kind, axis in kinds.items():
        lines = {
            series.removesuffix(f", {protocol}").replace(f" {kind}", ""): [
                (cell["x"], cell["MiB"]) for cell in cells
            ]
            for series, cells in figures.items()
            if kind in series and series.endswith(protocol)
        }
        suffix = f"-{kind} {protocol}".lower().replace(" ", "-")
        picture = draw_lines(
            f"{title}, {kind}, {protocol}",
            f"{where}, budget of 64 MiB",
            axis,
            Axis("MiB"),
            lines,
            limit=(LIMIT, "budget and 16 MiB"),
        )
        yield suffix, picture


DRAW: dict[str, Callable[[str, str, Mapping[str, Any]], Iterator[tuple[str, str]]]] = {
    "upload": _transfer,
    "download": _transfer,
    "small": _small,
    "memory": _memory,
    "parts": _parts,
    "chunks": _chunks,
    "fairness": _fairness,
    "imports": _imports,
    "links": _links,
}
