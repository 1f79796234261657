"""A server's file name, made into one safe path component on any system.

Rule 1: what comes out is a name of its own: no path, no device, no stream, nothing hidden.
Rule 2: what comes out, put in again, comes out unchanged.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ("safe_file_name",)

_LONGEST = 200
"""Bytes in UTF-8; file systems allow 255, and a partial file's name is longer by a suffix."""

_LONGEST_EXTENSION = 50
"""Bytes, the dot counted; what is longer after the last dot is no extension."""

_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Unicode's categories of what controls, formats, or breaks a line."""

_ILLEGAL = re.compile(r'[<>:"/\\|?*]')
_EDGES = re.compile(r"^[\s.]+|[\s.]+$")

# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_DEVICE = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)",
    re.IGNORECASE,
)


def safe_file_name(name: str | None, *, fallback: str) -> str:
    """Make one path component of whatever a server calls a file.

    Separators and what else Windows forbids become `_`; characters that can't be seen go, as do
    dots and spaces at either end, so that nothing is hidden and no `..` is left; the name of a
    device gets a `_` before it. It is composed (NFC), and at most 200 bytes in UTF-8 with its
    extension kept.

    Args:
        name: What the server says; may be anything.
        fallback: The name where nothing is left; given back as it is.
    """
    # Half a surrogate pair can't be encoded; it becomes a question mark, which is illegal too.
    text = (name or "").encode(errors="replace").decode()
    text = "".join(one for one in text if unicodedata.category(one) not in _UNSEEN)
    text = _ILLEGAL.sub("_", unicodedata.normalize("NFC", text))
    text = _shortened(_EDGES.sub("", text))
    if _DEVICE.match(text):
        text = _shortened(f"_{text}")
    return text or fallback


def _shortened(text: str) -> str:
    if len(text.encode()) <= _LONGEST:
        return text
    stem, dot, extension = text.rpartition(".")
    tail = dot + extension
    if len(tail.encode()) > _LONGEST_EXTENSION:
        stem, tail = text, ""
    room = _LONGEST - len(tail.encode())
    return _EDGES.sub("", stem.encode()[:room].decode(errors="ignore")) + tail
