"""A form's field `file`, read as its bytes come. No socket here: bytes in, bytes out.

Source: RFC 7578; RFC 2046, section 5.1.
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING

from domo_files_async.emulator.rules import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("FormParser",)

_LONGEST_BOUNDARY = 70
_LARGEST_HEAD = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class FormParser:
    """Finds the one field `file` in form data, and lets the other fields fall.

    Args:
        content_type: The request's, which has the boundary.

    Attributes:
        content_type: The field's own, once its head was read.
        found: Whether there was such a field.
    """

    def __init__(self, content_type: str) -> None:
        head = Message()
        head["Content-Type"] = content_type
        boundary = head.get_boundary("")
        if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
            raise Refusal(400, "The form data has no boundary.")
        self.content_type: str | None = None
        self.found = False
        self._delimiter = b"\r\n--" + boundary.encode(errors="replace")
        # The first delimiter has no line before it.
        self._buffer = b"\r\n"
        self._state = "other"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the form, and give what of them is the file's."""
        self._buffer += data
        while True:
            before = self._state, len(self._buffer)
            if self._state == "head":
                self._read_head()
            elif self._state in {"file", "other"}:
                content = self._read_content(is_file=self._state == "file")
                if content:
                    yield content
            if (self._state, len(self._buffer)) == before:
                return

    def finish(self) -> None:
        """Refuse a form that isn't whole."""
        if self._state != "end":
            raise Refusal(400, "The form data ends before its last boundary.")
        if not self.found:
            raise Refusal(400, "The form has no field 'file'.")

    def _read_content(self, *, is_file: bool) -> bytes:
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            content = self._buffer[:at]
            self._buffer = self._buffer[at + len(self._delimiter) :]
            self._state = "head"
        else:
            safe = max(0, len(self._buffer) - len(self._delimiter) + 1)
            content, self._buffer = self._buffer[:safe], self._buffer[safe:]
        return content if is_file else b""

    def _read_head(self) -> None:
        if self._buffer.startswith(b"--"):
            self._state, self._buffer = "end", b""
            return
        at = self._buffer.find(_END_OF_HEAD)
        if at < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                raise Refusal(400, "A field of the form has too large a head.")
            return
        head = message_from_bytes(self._buffer[:at].partition(b"\r\n")[2])
        self._buffer = self._buffer[at + len(_END_OF_HEAD) :]
        self._state = "other"
        if head.get_param("name", header="content-disposition") == "file":
            if self.found:
                raise Refusal(400, "The form has more than one field 'file'.")
            self.found, self._state = True, "file"
            self.content_type = head.get("Content-Type")
