"""How the documentation is built: `nox -s docs`. Nothing here asks the network.

What a page shows that isn't written by hand is made while it is read: the ledger's picture, each
command's help, the list of decisions, and what the benchmarks found, if there is anything.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import typer
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import ledger_diagram  # noqa: E402 - beside this file, as the path now says

import domo_files_async  # noqa: E402 - the same
from domo_files_async.cli.app import app as command_line  # noqa: E402
from domo_files_async.version import __version__  # noqa: E402

project = "domo-files-async"
author = "the authors of domo-files-async"
copyright = "the authors of domo-files-async"  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = True
default_role = "py:obj"

html_theme = "furo"
html_title = "domo-files-async"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_dark_style = "github-dark"
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style")]

# Links to the outside are for readers: a build must do without a network.
linkcheck_ignore = [r"https?://(?!127\.0\.0\.1)"]

_OUTSIDE = (
    r"(collections|concurrent|contextlib|datetime|enum|logging|os|pathlib|ssl|types|typing)\..+",
    r"(asyncio|aiohttp|attrs|attr|distributed|fastapi|fsspec|opentelemetry|pytest|starlette)\..+",
)
nitpick_ignore_regex = [
    # The standard library and other packages: their own pages would have to be fetched.
    *(("py:.*", pattern) for pattern in _OUTSIDE),
    # The same, as they are written in annotations that are never evaluated.
    ("py:class", r"Any|Annotated|Callable|Mapping|Iterable|Sequence|Iterator|Self|Awaitable"),
    (
        "py:class",
        r"Async(Iterator|Iterable|Generator)|Abstract(Async)?ContextManager|BaseException",
    ),
    ("py:class", r"Path|datetime|NoReturn|TracebackType|tls\.SSLContext|(os\.)?PathLike"),
    ("py:class", r"Client|FastAPI|Request|Response|MeterProvider|TracerProvider|Logger"),
    # Given by the caller, or by the transport, and named only for the type checker.
    ("py:class", r"HttpClient|TlsContext"),
]


CLASSES = [name for name in domo_files_async.__all__ if name[0].isupper() and name != "COMPUTE"]
FENCE = re.compile(r"(^`{3,}.*?^`{3,}\n)", re.MULTILINE | re.DOTALL)
NAME = re.compile(rf"(?<![\[`}}])`({'|'.join(CLASSES)})`(?!`)")
TYPES = frozenset({"class", "exception", "type", "data", "function"})
"""What an annotation can name."""

LINKED = TYPES | {"function", "method", "property", "attribute"}


def resolve(
    app: Sphinx, env: BuildEnvironment, node: Any, contnode: nodes.Element
) -> nodes.Element | None:
    """Find one of our names by its last words: annotations name it as its module imports it.

    What a docstring puts between backticks is a link where it names a class or one of its methods,
    and code everywhere else.
    """
    if node.get("refdomain") != "py":
        return None
    is_prose = node["reftype"] == "obj"
    target = node["reftarget"]
    tail = target if is_prose else target.rpartition(".")[2]
    kinds = LINKED if is_prose else TYPES
    domain: Any = env.domains.python_domain
    found = [
        full
        for full, entry in domain.objects.items()
        if f".{full}".endswith(f".{tail}") and entry.objtype in kinds and not entry.aliased
    ]
    if len(found) == 1 and (tail[:1].isupper() or not is_prose):
        place = (env, node["refdoc"], app.builder, "obj", found[0], node, contnode)
        link: nodes.Element = domain.resolve_xref(*place)
        return link
    return contnode if is_prose else None


KEPT: dict[str, list[str]] = {}


def keep(_: Sphinx, kind: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Remember what an attribute says, before napoleon takes its first words for a type."""
    del obj, options
    if kind in {"attribute", "property", "data"} and lines and ":" in lines[0]:
        KEPT[name] = list(lines)


def restore(_: Sphinx, kind: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let it say that."""
    del kind, obj, options
    lines[:] = KEPT.pop(name, lines)


def link_names(_: Sphinx, name: str, content: list[str]) -> None:
    """Let a page's names of classes lead to the reference; in its file they are plain code."""
    if name == "changelog":
        return
    pieces = FENCE.split(content[0])
    # Every second piece is a block of code.
    pieces[::2] = [NAME.sub(r"{py:obj}`\1`", piece) for piece in pieces[::2]]
    content[0] = "".join(pieces)


def default_values(
    _: Sphinx, kind: str, name: str, obj: Any, options: Any, signature: str | None, returns: str
) -> tuple[str | None, str] | None:
    """Write the defaults of an attrs class as they are, not as attrs looks them up."""
    del name, options
    if kind != "class" or signature is None or not attrs.has(obj):
        return None
    fields = attrs.fields_dict(obj)
    signature = re.sub(
        r"attr_dict\['(\w+)'\]\.default", lambda found: repr(fields[found[1]].default), signature
    )
    return signature.replace("NOTHING", "{}"), returns


def add_what_is_made(_: Sphinx, name: str, content: list[str]) -> None:
    """Add to a page what is made for it."""
    for mark, make in MADE.get(name, {}).items():
        content[0] = content[0].replace(f"<!-- {mark} -->", make())


def decisions() -> str:
    """List the decisions, oldest first."""
    pages = sorted((HERE / "decisions").glob("0*.md"))
    return _toctree([f"/decisions/{page.stem}" for page in pages], depth=1)


def measured() -> str:
    """Lead to what was measured, if anything was."""
    pages = sorted((HERE / "benchmarks").glob("*/README.md"))
    if not pages:
        return "Nothing was measured in this copy of the project yet.\n"
    folders = [page.parent.name for page in pages]
    entries = [
        f"Python {one.replace('-openssl-', ', OpenSSL ')} </benchmarks/{one}/README>"
        for one in folders
    ]
    return _toctree(entries, depth=2)


def picture() -> str:
    """Draw the ledger."""
    return f"```{{raw}} html\n{ledger_diagram.picture()}\n```\n"


def commands() -> str:
    """Write what each command says of itself."""
    return "\n".join(_help_of(("domo-files",), typer.main.get_command(command_line)))


def _help_of(words: tuple[str, ...], command: Any) -> Iterator[str]:
    asked = CliRunner().invoke(
        command_line, [*words[1:], "--help"], words[0], env={"COLUMNS": "80"}
    )
    yield f"## {' '.join(words)}\n\n```text\n{asked.output.strip()}\n```\n"
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _help_of((*words, name), command.get_command(context, name))


def _toctree(entries: list[str], *, depth: int) -> str:
    return "\n".join(["```{toctree}", f":maxdepth: {depth}", "", *entries, "```"]) + "\n"


MADE = {
    "decisions/index": {"decisions": decisions},
    "benchmarks": {"measured": measured},
    "commands": {"commands": commands},
    "ledger": {"picture": picture, "table": ledger_diagram.table},
}
"""Pages, the marks in them, and what takes the place of each."""


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("source-read", add_what_is_made)
    app.connect("source-read", link_names)
    app.connect("autodoc-process-signature", default_values)
    app.connect("missing-reference", resolve)
    # Napoleon's own turn is at 500.
    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
