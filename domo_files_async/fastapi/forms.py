"""The one file in a form, found while the form comes. No I/O: bytes in, the file's bytes out."""

from __future__ import annotations

import attrs
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

__all__ = ("FormError", "FormFile", "FormReader", "read_boundary")

_MOST_BESIDE = 64 * 1024
"""Bytes of a form that may belong to no file: fields, headers and boundaries."""


_LONGEST_BOUNDARY = 70


class FormError(Exception):
    """The body isn't a form with one file."""


@attrs.frozen
class FormFile:
    """What a form says of its file.

    Attributes:
        name: Without a path; never empty.
        content_type: `None` where the form doesn't say.
    """

    name: str
    content_type: str | None


def read_boundary(content_type: str) -> bytes | None:
    """Read the boundary of a form; `None` where it isn't a form.

    Raises:
        FormError: It is one without a boundary, or with one that is too long.

    Source: RFC 7578, section 4.1; RFC 2046, section 5.1.1.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary")
    if not boundary:
        raise FormError("The form's boundary is missing")
    if len(boundary) > _LONGEST_BOUNDARY:
        raise FormError(f"The form's boundary is longer than {_LONGEST_BOUNDARY} bytes")
    return boundary


class FormReader:
    """Takes a form as it comes.

    Args:
        boundary: What its parts are held apart by.

    Attributes:
        file: Its file, once it has come so far.
        is_complete: Whether its end has come.
    """

    def __init__(self, boundary: bytes) -> None:
        self.file: FormFile | None = None
        self.is_complete = False
        self._beside = 0
        self._in_file = False
        self._field, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._found: list[memoryview] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> list[memoryview]:
        """Take the next bytes of the form; give those of the file among them.

        Raises:
            FormError: It isn't a form, has a second file, or too much beside the file.
        """
        self._found = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise FormError("The body isn't the form that its Content-Type says") from error
        self._beside += len(chunk) - sum(map(len, self._found))
        if self._beside > _MOST_BESIDE:
            raise FormError("The form holds too much beside its file")
        return self._found

    def _begin(self) -> None:
        self._headers = {}
        self._in_file = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _headers_finished(self) -> None:
        text = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(text)
        name = _file_name(options.get(b"filename", b""))
        if not name:
            return
        if self.file is not None:
            raise FormError("The form holds more than one file: send one at a time")
        said = self._headers.get(b"content-type", b"").decode("latin-1").strip()
        self.file = FormFile(name, said or None)
        self._in_file = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._found.append(memoryview(data)[start:end])

    def _end(self) -> None:
        self.is_complete = True


def _file_name(raw: bytes) -> str:
    """Read a file's name as browsers write it: UTF-8, a quote escaped, no path.

    Source: RFC 7578, section 4.2; HTML, "multipart/form-data encoding algorithm".
    """
    text = raw.decode("utf-8", "replace").replace("%22", '"')
    return text.replace("\\", "/").rpartition("/")[2]
