"""The report's page: one file, no script, light and dark; numbers come in, text goes out."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from domo_files_async.bulk.charts import Series, bars, lines, shares

if TYPE_CHECKING:
    from domo_files_async.bulk.figures import Figures

__all__ = ("write_page",)

_STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #22252a; --soft: #6b7280;
  --edge: #e3e1dc; --c1: #2563a8; --c2: #c2570c; --c3: #2f855a; --c4: #b3273b; --c5: #7c5cbf;
  --c6: #9a8a3c; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --card: #1e2127; --ink: #e6e6e3;
  --soft: #9aa1ac; --edge: #32363e; --c1: #6aa9ee; --c2: #f0954e; --c3: #63c391; --c4: #f0738a;
  --c5: #b39aec; --c6: #d0bd62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 88rem; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .6rem; }
header p { margin: .2rem 0 1.2rem; color: var(--soft); }
.verdict { font-size: 1.1rem; color: var(--ink); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(8.6rem, 18%), 1fr));
  gap: .75rem;
  margin: 0 0 1rem; }
.tiles div, section { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; }
.tiles div { padding: .6rem .75rem; } .tiles b { display: block; font-size: 1.2rem;
  white-space: nowrap;
  font-variant-numeric: tabular-nums; line-height: 1.2; } .tiles span { color: var(--soft);
  font-size: .87rem; }
.bad b { color: var(--c4); } .good b { color: var(--c3); }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem; }
section { padding: 1rem 1.1rem; min-width: 0; } .wide { grid-column: 1 / -1; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
.grid { stroke: var(--edge); stroke-width: 1; } .tick { fill: var(--soft); font-size: 12px; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.fill { opacity: .16; stroke: none; }
.c1 { stroke: var(--c1); fill: var(--c1); background: var(--c1); }
.c2 { stroke: var(--c2); fill: var(--c2); background: var(--c2); }
.c3 { stroke: var(--c3); fill: var(--c3); background: var(--c3); }
.c4 { stroke: var(--c4); fill: var(--c4); background: var(--c4); }
.c5 { stroke: var(--c5); fill: var(--c5); background: var(--c5); }
.c6 { stroke: var(--c6); fill: var(--c6); background: var(--c6); }
.line.c1, .line.c2, .line.c3, .line.c4, .line.c5 { fill: none; } svg .fill { stroke: none; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .5rem 0 0; color: var(--soft);
  font-size: .87rem; } .legend i { display: inline-block; width: .7rem; height: .7rem;
  border-radius: 2px; margin-right: .4rem; }
.row { display: grid; grid-template-columns: minmax(6rem, 14rem) 1fr auto; gap: .7rem;
  align-items: center; margin: .25rem 0; font-size: .9rem; } .name { overflow-wrap: anywhere; }
.track { height: .8rem; } .bar { display: block; height: 100%; border-radius: 2px; }
.value { font-variant-numeric: tabular-nums; color: var(--soft); text-align: right; }
.shares { display: flex; height: 1.6rem; border-radius: 4px; overflow: hidden; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-top: 1px solid var(--edge);
  vertical-align: top; } th { color: var(--soft); font-weight: 500; border: 0; }
td { overflow-wrap: anywhere; } td:nth-child(1) { width: 34%; } td:nth-child(2) { width: 9rem; }
.note { color: var(--soft); font-size: .87rem; margin: .6rem 0 0; }
@media (max-width: 34rem) { .tick { font-size: 18px; } }
@media print { body { background: #fff; } section, .tiles div { break-inside: avoid; } }
"""
_COLOURS = {
    "bytes on the network": 1,
    "disk and digest": 2,
    "server's answers": 3,
    "rate limit": 4,
    "waits before retries": 5,
    "journal": 6,
}


def write_page(figures: Figures, *, title: str) -> str:
    """Write a job's report as HTML.

    Args:
        figures: What it came to.
        title: What the job is called.
    """
    measured = [_over_time(figures), _latency(figures), _trouble(figures)]
    sections = [
        *(measured if figures.points else ()),
        _sizes(figures),
        _limits(figures),
        _failures(figures),
        _items(figures),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"{_head(figures, title)}<main>{''.join(sections)}</main></body></html>\n"
    )


def _head(figures: Figures, title: str) -> str:
    done, items = figures.count("uploaded", "revised"), figures.items
    failed, unknown = figures.count("failed"), figures.count("unknown")
    waiting = items - done - failed - unknown
    if not items:
        verdict = "There is nothing in this job."
    elif done == items:
        verdict = f"All {items:,} files are there."
    else:
        rest = [f"{failed:,} failed"] * bool(failed) + [f"{unknown:,} unknown"] * bool(unknown)
        rest += [f"{waiting:,} still to do"] * bool(waiting)
        verdict = f"{done:,} of {items:,} files are there; {', '.join(rest)}."
    seconds = figures.seconds or 1.0
    tiles = [
        (f"{figures.count('uploaded'):,}", "uploaded", "good" if done == items and items else ""),
        (f"{figures.count('revised'):,}", "revised", ""),
        (f"{failed:,}", "failed", "bad" if failed else ""),
        (f"{unknown:,}", "unknown", "bad" if unknown else ""),
        (_size(figures.bytes_done), "in all", ""),
        (_span(figures.seconds), "under way", ""),
        (f"{done / seconds:,.0f}", "files a second", ""),
        (f"{_size(figures.bytes_done / seconds)}/s", "on average", ""),
        (f"{figures.requests:,}", "requests", ""),
        (f"{figures.retries:,}", "retries", ""),
    ]
    drawn = "".join(
        f'<div class="{kind}"><b>{value}</b><span>{label}</span></div>'
        for value, label, kind in tiles
    )
    runs = len(figures.runs)
    if not figures.runs:
        when = f"Not run yet, as of {_moment(figures.made)}"
    else:
        began = datetime.fromtimestamp(figures.runs[0][0], UTC)
        how = "1 run, which" if runs == 1 else f"{runs} runs, the last one of which"
        ending = figures.runs[-1][2]
        how += f" ended: {escape(ending)}" if ending else " is under way"
        when = f"Begun {_moment(began)} · {how}"
    return (
        f'<header><h1>{escape(title)}</h1><p><span class="verdict">{verdict}</span><br>'
        f"{when}</p></header>"
        f'<div class="tiles">{drawn}</div>'
    )


def _moment(at: datetime) -> str:
    return f"{at:%d %B %Y, %H:%M} UTC"


def _section(title: str, body: str, *, note: str = "", wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{body}{said}</section>"


def _over_time(figures: Figures) -> str:
    points = figures.points
    data = lines(
        [Series("bytes a second", [one.bytes for one in points], 1, filled=True)],
        seconds=figures.seconds,
        write=lambda value: f"{_size(value)}/s",
        title="Bytes a second over time",
        binary=True,
    )
    files = lines(
        [
            Series("files a second", [one.files for one in points], 3, filled=True),
            Series("items at once", [one.in_flight for one in points], 5),
        ],
        seconds=figures.seconds,
        write=_number,
        title="Files a second over time",
    )
    return _section("Throughput in bytes", data) + _section("Throughput in files", files)


def _latency(figures: Figures) -> str:
    drawn = lines(
        [
            Series("95 % are faster", [one.p95 for one in figures.points], 2),
            Series("half are faster", [one.p50 for one in figures.points], 1),
        ],
        seconds=figures.seconds,
        write=_latency_of,
        title="Latency of requests that carry bytes, over time",
    )
    return _section("Latency of requests that carry bytes", drawn)


def _trouble(figures: Figures) -> str:
    drawn = lines(
        [
            Series("retries a second", [one.retries for one in figures.points], 2, filled=True),
            Series("failures a second", [one.failed for one in figures.points], 4),
        ],
        seconds=figures.seconds,
        write=_number,
        title="Retries and failures over time",
    )
    silent = lines(
        [Series("share of the time", [one.throttled for one in figures.points], 5, filled=True)],
        seconds=figures.seconds,
        write=lambda value: f"{value:.0%}",
        title="Share of the time in which the server had asked to wait",
    )
    waited = f"The server asked to wait {_span(figures.throttled)} in all."
    return _section("Retries and failures", drawn) + _section(
        "Throttled by the server", silent, note=waited
    )


def _sizes(figures: Figures) -> str:
    rows = [(label, float(count)) for label, count in figures.sizes]
    drawn = bars(rows, write=lambda v: f"{v:,.0f}", title="Files by size")
    return _section("Sizes", drawn if rows else '<p class="note">None.</p>')


def _limits(figures: Figures) -> str:
    ordered = sorted(figures.limits.items(), key=lambda one: -one[1])
    total = sum(figures.limits.values())
    drawn = shares(
        [(label, value, _COLOURS[label]) for label, value in ordered],
        title="What the workers' time went into",
    )
    if not total:
        return _section("What limited the run", "", note="Nothing was sent.")
    label, value = ordered[0]
    return _section(
        "What limited the run",
        drawn,
        note=f"Most of the workers' time ({value / total:.0%}) went into: {label}. What a request "
        "takes however few bytes it has, counts as the server's answer; the rest as the network.",
    )


def _failures(figures: Figures) -> str:
    rows = [(label, float(count)) for label, count in figures.failures]
    if not rows:
        return _section("Failures by kind", '<p class="note">None.</p>')
    drawn = bars(rows, write=lambda v: f"{v:,.0f}", title="Failures by kind", colour=4)
    return _section(
        "Failures by kind",
        drawn,
        note="later: a later run may mend it; person: somebody has to do something first; never: "
        "it will always fail as it is.",
    )


def _items(figures: Figures) -> str:
    if not figures.troubles:
        return ""
    rows = "".join(
        f"<tr><td>{escape(_harmless(source))}</td><td>{escape(state)}</td>"
        f"<td>{escape(_harmless(error))}</td></tr>"
        for source, state, error in figures.troubles
    )
    total = figures.count("failed", "unknown")
    shown = len(figures.troubles)
    note = "" if shown == total else f"The first {shown:,} of {total:,}; the CSV has all."
    table = (
        '<div class="scroll"><table><thead><tr><th>source</th><th>state</th><th>what was said</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    return _section("Items that aren't there for certain", table, note=note, wide=True)


def _harmless(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the next unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB" if count < 1024 else f"{count / 1024:.3g} PiB"  # noqa: PLR2004


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - two digits are enough


def _latency_of(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _span(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
