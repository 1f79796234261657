"""A server's file name, made into one safe path component on any system."""

from __future__ import annotations

import re
import unicodedata

__all__ = ("safe_file_name",)

_LONGEST = 200
"""Bytes in UTF-8; file systems allow 255, and a partial file's name is longer by a suffix."""

_ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|$)",
    re.IGNORECASE,
)


def safe_file_name(name: str | None, *, fallback: str) -> str:
    """Make one path component of whatever a server calls a file.

    Separators and what Windows forbids become `_`; invisible and direction-changing characters,
    leading dots and trailing dots or spaces go; a reserved name gets a `_` before it.

    Args:
        name: What the server says; may be anything.
        fallback: The name where nothing is left.
    """
    text = (name or "").encode("utf-8", "replace").decode("utf-8")
    text = unicodedata.normalize("NFC", text)
    text = "".join(one for one in text if unicodedata.category(one) not in {"Cf", "Zl", "Zp"})
    text = _trimmed(_ILLEGAL.sub("_", text))
    if not text.strip("_ ."):
        return fallback
    if _RESERVED.match(text):
        text = f"_{text}"
    return _shortened(text)


def _trimmed(text: str) -> str:
    return (
        "".join("" if unicodedata.category(one) == "Cc" else one for one in text)
        .strip()
        .lstrip(".")
        .strip()
        .rstrip(". ")
    )


def _shortened(text: str) -> str:
    if len(text.encode()) <= _LONGEST:
        return text
    stem, dot, extension = text.rpartition(".")
    if not stem or len(extension.encode()) > _LONGEST // 4:
        stem, dot, extension = text, "", ""
    room = _LONGEST - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + extension
