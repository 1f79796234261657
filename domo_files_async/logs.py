"""What a session does as log records: one for each event, its facts as fields for structured logs.

Names of files, ids and errors' messages, which hold ids, are told only if asked for.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final

import attrs

from domo_files_async import events

__all__ = ("LoggingObserver",)

_PRIVATE: Final = frozenset({"name", "data_file_id", "revision_id", "session_id", "path"})
_LEVELS: Final = {
    events.TransferFailed: logging.ERROR,
    events.AbortFailed: logging.WARNING,
    events.PartRetried: logging.WARNING,
    events.RequestRetried: logging.WARNING,
    events.Throttled: logging.WARNING,
    events.OutcomeSought: logging.WARNING,
    events.TransferStarted: logging.INFO,
    events.TransferFinished: logging.INFO,
    events.Resumed: logging.INFO,
    events.Parked: logging.INFO,
}


class LoggingObserver:
    """An `observer` for `DomoFilesSession` that logs.

    A record's message reads `part retried transfer=3 index=2 attempt=1 delay=0.5
    error=ServerError`; the same facts are in its attribute `domo_files`, a dictionary with `event`
    among its keys. Failed transfers are errors; retries, throttles, lost answers and failed aborts
    are warnings; transfers, also cancelled ones, and what is parked or resumed are infos; all else
    is debugging.

    Args:
        logger: Where to.
        names_and_ids: Whether names of files, ids and errors' messages are told.
    """

    def __init__(self, logger: logging.Logger, *, names_and_ids: bool = False) -> None:
        self._logger = logger
        self._tells_all = names_and_ids

    def __call__(self, event: events.Event) -> None:
        """Log an event."""
        level = _LEVELS.get(type(event), logging.DEBUG)
        if isinstance(event, events.TransferFailed) and _is_cancelled(event.error):
            level = logging.INFO
        if not self._logger.isEnabledFor(level):
            return
        name = re.sub("(?<=.)([A-Z])", r" \1", type(event).__name__).lower()
        facts = self._facts(event)
        text = " ".join([name, *(f"{key}={value}" for key, value in facts.items())])
        self._logger.log(level, "%s", text, extra={"domo_files": {"event": name, **facts}})

    def _facts(self, event: events.Event) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for key, value in attrs.asdict(event, recurse=False).items():
            if value is None or (key in _PRIVATE and not self._tells_all):
                continue
            if isinstance(value, BaseException):
                facts[key] = type(value).__name__
                if self._tells_all:
                    facts["message"] = str(value)
            else:
                facts[key] = round(value, 6) if isinstance(value, float) else value
        if isinstance(event, events.RequestFinished):
            facts["path_template"] = event.path_template
        return facts


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)
