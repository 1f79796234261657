"""One request's credential: what carries it, and how it is kept from showing.

Whatever a server says may repeat it, as it is or escaped in one of the usual ways.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs

from domo_files_async.auth import is_header_name
from domo_files_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from domo_files_async.protocol.messages import Reply

__all__ = ("Credential",)

_MASK = "***"
_SHORTEST = 4
"""Characters below which a secret hides nothing, and masking it would garble every message."""


class Credential:
    """The headers of one credential.

    Args:
        headers: What the session's `Auth` gave.

    Raises:
        InvalidArgumentError: A header can't be sent; its value isn't shown.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        if not isinstance(headers, Mapping):
            raise InvalidArgumentError(
                "auth.headers() must give a mapping of names to values, "
                f"not {type(headers).__name__}"
            )
        for name, value in headers.items():
            if not isinstance(value, str) or not is_header_name(name):
                raise InvalidArgumentError(
                    f"auth.headers() gave {name!r} with a {type(value).__name__}: a name is made "
                    "of letters, digits and hyphens, and a value is a text"
                )
            if not (value.isascii() and value.isprintable()):
                raise InvalidArgumentError(
                    f"The credential's header {name} holds a line break or another character "
                    "that no header can carry (its value isn't shown here)"
                )
        self.headers = dict(headers)

    def __repr__(self) -> str:
        return "Credential(…)"

    def hide(self, text: str) -> str:
        """Mask the credential in *text*."""
        for form in self._forms():
            text = re.sub(re.escape(form), _MASK, text, flags=re.IGNORECASE)
        return text

    def hidden(self, reply: Reply) -> Reply:
        """Mask the credential in all that a reply says."""
        # Latin-1 gives each byte a character, so that nothing else changes.
        return attrs.evolve(
            reply,
            headers={name: self.hide(value) for name, value in reply.headers.items()},
            body=self.hide(reply.body.decode("latin-1")).encode("latin-1"),
        )

    def _forms(self) -> list[str]:
        # "Bearer secret" also shows when only its last word does.
        secrets = {
            word for value in self.headers.values() for word in (value, value.split(" ")[-1])
        }
        forms = {
            escaped
            for secret in secrets
            if len(secret) >= _SHORTEST
            for escaped in (
                secret,
                quote(secret, safe=""),
                quote(secret),
                html.escape(secret),
                json.dumps(secret)[1:-1],
            )
        }
        return sorted(forms, key=len, reverse=True)
