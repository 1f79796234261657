"""Manifests: items as lines of a file, CSV or JSON Lines, read one at a time."""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING, Any

from domo_files_async.bulk.items import Item
from domo_files_async.errors import InvalidArgumentError, SourceError
from domo_files_async.models import PermissionEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ("from_manifest",)

_COLUMNS = frozenset(
    {"source", "name", "description", "content_type", "public", "data_file_id", "grants"}
)
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def from_manifest(path: str | os.PathLike[str]) -> Iterator[Item]:
    """Give the items that a manifest lists.

    Its columns, or its lines' fields, are `source`, which each line must have, `name`,
    `description`, `content_type`, `public`, `data_file_id` (of the data file that gets a new
    revision) and `grants` (`USER:1089963280:READ_WRITE`, several separated by `;`, or in JSON Lines
    a list). A relative source is one below the manifest's folder.

    Args:
        path: A file that ends in `.csv`, or in `.jsonl` or `.ndjson`.

    Returns:
        An item a line; the file is read as they are asked for.

    Raises:
        InvalidArgumentError: It is no such file, or a line can't be right; names the line.
        SourceError: It can't be read.
    """
    where = os.fspath(path)
    kind = os.path.splitext(where)[1].lower()  # noqa: PTH122 - paths stay as they are given
    if kind not in {".csv", ".jsonl", ".ndjson"}:
        raise InvalidArgumentError(f"{where} must end in .csv, .jsonl or .ndjson to be a manifest")
    if not os.path.isfile(where):  # noqa: PTH113
        raise SourceError(f"{where} is no file that can be read: check the path")
    return _items(where, is_csv=kind == ".csv")


def _items(where: str, *, is_csv: bool) -> Iterator[Item]:
    folder = os.path.dirname(where)  # noqa: PTH120
    line = 1
    try:
        with open(where, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
            for number, found in _csv(file) if is_csv else enumerate(map(str.strip, file), 1):
                line = number
                fields = _fields(found)
                if fields is not None:
                    yield _item(fields, folder)
    except (InvalidArgumentError, ValueError, csv.Error) as error:
        raise InvalidArgumentError(f"{where}, line {line}: {error}") from error
    except OSError as error:
        raise SourceError(f"{where} can't be read: {error}") from error


def _csv(file: Any) -> Iterator[tuple[int, dict[Any, Any]]]:
    reader = csv.DictReader(file, strict=True)
    names = reader.fieldnames or ()
    _check(names)
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgumentError(f"the column {name!r} is there twice")
    for row in reader:
        yield reader.line_num, row


def _fields(found: dict[Any, Any] | str) -> Mapping[str, Any] | None:
    """Give what a line says; `None` for an empty one."""
    if isinstance(found, dict):
        if None in found or None in found.values():
            raise InvalidArgumentError("it has not as many fields as there are columns")
        return {name: value for name, value in found.items() if value}
    if not found:
        return None
    try:
        fields = json.loads(found)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(f"it is no JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise InvalidArgumentError("it is no JSON that could be an item") from error
    if not isinstance(fields, dict):
        raise InvalidArgumentError("it is no JSON object")
    _check(fields)
    return {name: value for name, value in fields.items() if value is not None}


def _check(names: Any) -> None:
    unknown = set(names) - _COLUMNS
    if unknown:
        raise InvalidArgumentError(
            f"there are columns that mean nothing: {', '.join(map(repr, sorted(unknown)))}; those "
            f"that do are {', '.join(sorted(_COLUMNS))}"
        )
    if "source" not in names:
        raise InvalidArgumentError("there is no source")


def _item(fields: Mapping[str, Any], folder: str) -> Item:
    source = fields.get("source")
    if not isinstance(source, str) or not source:
        raise InvalidArgumentError("there is no source")
    is_path = "://" not in source and not os.path.isabs(source)  # noqa: PTH117
    path = os.path.join(folder, source) if is_path else source  # noqa: PTH118
    number = fields.get("data_file_id")
    name = fields.get("name")
    if name is None and number is None:
        name = source.replace(os.sep, "/").rstrip("/").rpartition("/")[2]
    return Item(
        source=path,
        name=name,
        description=fields.get("description"),
        content_type=fields.get("content_type"),
        public=_flag(fields.get("public")),
        data_file_id=int(number) if isinstance(number, str) and number.isdecimal() else number,
        grants=_grants(fields.get("grants", [])),
    )


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise InvalidArgumentError(f"public must be true or false, not {value!r}")
    return known


def _grants(value: Any) -> tuple[PermissionEntry, ...]:
    entries = [one for one in value.split(";") if one] if isinstance(value, str) else value
    if not isinstance(entries, list):
        raise InvalidArgumentError(f"grants must be a list of texts, not {value!r}")
    read = []
    for entry in entries:
        parts = entry.strip().split(":") if isinstance(entry, str) else ()
        if len(parts) != 3:  # noqa: PLR2004 - who (kind and id) and what
            raise InvalidArgumentError(
                f"a grant is written as USER:1089963280:READ_WRITE, not {entry!r}"
            )
        kind, entity_id, grant = parts
        read.append(PermissionEntry(kind, entity_id, grant))
    return tuple(read)
