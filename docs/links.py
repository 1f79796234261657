"""Look for every file and anchor that the built pages lead to: `python docs/links.py FOLDER`.

Links to the outside are left alone: nothing here asks the network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page leads to, and what can be led to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        del tag
        for name, value in attrs:
            if name in {"href", "src"} and value is not None:
                self.links.append(value)
            elif name in {"id", "name"} and value is not None:
                self.anchors.add(value)


def broken(folder: Path) -> list[str]:
    """Give each link that leads nowhere, with its page."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            is_there = target.exists()
            if is_there and target in pages:
                is_there = unquote(url.fragment) in pages[target].anchors
            if not is_there:
                found.append(f"{path.relative_to(folder)}: {link}")
    return found


if __name__ == "__main__":
    lost = broken(Path(sys.argv[1]).resolve())
    sys.stderr.writelines(f"{one}\n" for one in lost)
    sys.exit(bool(lost))
