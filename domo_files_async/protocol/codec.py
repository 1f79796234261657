"""JSON values to models and back, lenient in reading and strict in writing.

Rule 1: whatever can't be read raises `FieldError` with the path to the field, and nothing else.
Rule 2: what isn't known is kept in `extra`, and written again.
"""

from __future__ import annotations

import functools
import re
import typing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import cattrs

from domo_files_async.models import DataFile, FileMetadata, Grant

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.models import Permissions

__all__ = ("FieldError", "configure_converter", "structure", "unstructure_permissions")

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET_WITHOUT_COLON = re.compile(r"([+-]\d\d)(\d\d)$")
_SEQUENCES: tuple[object, ...] = (tuple, list)
_ODD_NAMES = {
    "pass_": "pass",
    "source_content_sha256": "sourceContentSHA256",
    "source_content_md5": "sourceContentMD5",
    "store_content_md5": "storeContentMD5",
    "store_time_ms": "storeTimeMS",
}


class FieldError(ValueError):
    """A field is missing or can't be read.

    Attributes:
        field: The path to it, in the server's names; empty for the whole value.
        problem: What is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, outer: str) -> FieldError:
        """Give the same with the path that leads to it."""
        dot = "." if self.field and not self.field.startswith("[") else ""
        return FieldError(f"{outer}{dot}{self.field}", self.problem)


def structure(value: object, cls: type[T]) -> T:
    """Read a JSON value as *cls*.

    Raises:
        FieldError: It can't be read.
    """
    try:
        return _converter().structure(value, cls)
    except FieldError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FieldError("", f"it can't be read ({type(error).__name__})") from None


def unstructure_permissions(permissions: Permissions) -> dict[str, Any]:
    """Write permissions as the API takes them, with what isn't known as it came."""
    entries = [
        {
            **entry.extra,
            "entityType": entry.entity_type,
            "entityId": entry.entity_id,
            "grant": str(entry.grant),
            **({} if entry.pass_ is None else {"pass": entry.pass_}),
        }
        for entry in permissions.entries
    ]
    return {
        **permissions.extra,
        "publicAccess": permissions.public_access,
        "entries": entries,
    }


def configure_converter() -> cattrs.Converter:
    """Make a converter that reads what the API answers."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(int, lambda value, _: _read_int(value))
    converter.register_structure_hook(str, lambda value, _: _read_str(value))
    converter.register_structure_hook(bool, lambda value, _: _read_bool(value))
    converter.register_structure_hook(datetime, lambda value, _: _read_datetime(value))
    converter.register_structure_hook_func(
        lambda cls: cls == Grant | str, lambda value, _: Grant.parse(_read_str(value))
    )
    converter.register_structure_hook_func(
        lambda cls: getattr(cls, "__origin__", None) in _SEQUENCES,
        lambda value, cls: _read_sequence(converter, value, cls),
    )
    converter.register_structure_hook_factory(attrs.has, lambda cls: _model_reader(converter, cls))
    return converter


_converter = functools.cache(configure_converter)


def _model_reader(converter: cattrs.Converter, cls: type[Any]) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(cls)
    fields = {_wire_name(field.name): field for field in attrs.fields(cls) if field.name != "extra"}
    lenient = cls is FileMetadata
    keeps_extra = "extra" in attrs.fields_dict(cls)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise FieldError("", f"an object was due, not {_kind(value)}")
        extra = {name: item for name, item in value.items() if name not in fields}
        known: dict[str, Any] = {"extra": extra} if keeps_extra else {}
        for name, field in fields.items():
            item = value.get(name)
            try:
                if item is not None:
                    known[field.name] = converter.structure(item, field.type)
                elif field.default is attrs.NOTHING:
                    raise FieldError("", "it is missing")  # noqa: TRY301 - as one from within
                elif isinstance(field.default, str):
                    # What the server left out isn't what we would say by default.
                    known[field.name] = None
            except FieldError as error:
                if not (lenient or isinstance(field.default, str)):
                    raise error.within(name) from None
                extra[name] = item
            if item is None and name in value and field.default is not None:
                extra[name] = None
        return _completed(cls(**known))

    return read


def _completed(model: Any) -> Any:
    if isinstance(model, DataFile) and model.metadata is None and model.current_revision:
        return attrs.evolve(model, metadata=model.current_revision.metadata)
    return model


def _read_sequence(converter: cattrs.Converter, value: Any, cls: Any) -> Any:
    if not isinstance(value, list):
        raise FieldError("", f"an array was due, not {_kind(value)}")
    items = []
    for place, item in enumerate(value):
        try:
            items.append(converter.structure(item, typing.get_args(cls)[0]))
        except FieldError as error:
            raise error.within(f"[{place}]") from None
    return typing.get_origin(cls)(items)


def _read_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,30}\s*", value):
        return int(value)
    raise FieldError("", f"a whole number was due, not {_kind(value)}")


def _read_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise FieldError("", f"a text was due, not {_kind(value)}")


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise FieldError("", f"true or false was due, not {_kind(value)}")


def _read_datetime(value: Any) -> datetime:
    try:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
            text = _OFFSET_WITHOUT_COLON.sub(r"\1:\2", value.strip())
            read = datetime.fromisoformat(text)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        return _EPOCH + timedelta(milliseconds=_read_int(value))
    except (FieldError, ValueError, OverflowError):
        raise FieldError("", f"a date was due, not {_kind(value)}") from None


def _wire_name(name: str) -> str:
    first, *others = name.split("_")
    return _ODD_NAMES.get(name) or first + "".join(map(str.capitalize, others))


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "this number"
        case str():
            return "this text"
        case list():
            return "an array"
        case _:
            return "an object"
