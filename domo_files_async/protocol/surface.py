"""Where the API is: the instance's address, and what differs between its two surfaces."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

import attrs

from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError

__all__ = ("Instance", "SurfaceRules", "parse_instance", "surface_rules")

_LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class Instance:
    """The address of a Domo instance.

    Attributes:
        origin: Scheme, host and port, such as `https://acme.domo.com`.
        prefix: Path before the API's own, without a slash at its end; may be empty.
        host: Without its port.
        is_loopback: Whether it is this machine.
    """

    origin: str
    prefix: str
    host: str
    is_loopback: bool

    @property
    def url(self) -> str:
        """Origin and prefix."""
        return self.origin + self.prefix


@attrs.frozen
class SurfaceRules:
    """What a surface has of its own.

    Attributes:
        surface: Which one.
        base: Path of the Files API, the instance's prefix included.
        users: Path of the users API.
        ids_parameter: Name of the parameter that lists files by id.
        takes_forms: Whether simple uploads are form data, rather than the bytes as they are.
    """

    surface: Surface
    base: str
    users: str
    ids_parameter: str
    takes_forms: bool

    @property
    def multipart(self) -> str:
        """Path of the multipart sessions."""
        return f"{self.base}/multipart"


def surface_rules(surface: Surface, *, prefix: str = "") -> SurfaceRules:
    """Give the rules of a surface under an instance's path prefix."""
    users = f"{prefix}/api/content/v2/users"
    is_app = surface is Surface.APP
    return SurfaceRules(
        surface=surface,
        base=f"{prefix}/domo/data-files/v1" if is_app else f"{prefix}/api/data/v1/data-files",
        users=users,
        ids_parameter="ids" if is_app else "dataFileIds",
        takes_forms=is_app,
    )


def parse_instance(instance: str, *, allow_insecure: bool = False) -> Instance:
    """Read the address of an instance.

    Args:
        instance: `"acme"` for `https://acme.domo.com`, a host, or a URL with a prefix or port.
        allow_insecure: Allow plain http to other machines.

    Raises:
        InvalidArgumentError: It is no address, or a plain one to another machine.
    """
    if not isinstance(instance, str) or not instance.strip():
        raise InvalidArgumentError("The instance is missing: give its name, its host or its URL")
    if re.search(r"[\s\x00-\x20\x7f\\]", instance):
        raise InvalidArgumentError("The instance holds spaces, backslashes or control characters")
    if "@" in instance:
        raise InvalidArgumentError(
            "The instance's URL holds a user or password: give the credential as auth"
        )
    if re.fullmatch(_LABEL, instance) and instance.lower() != "localhost":
        instance = f"{instance}.domo.com"
    text = instance if "://" in instance else f"https://{instance}"
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or ""), parts.port
    except ValueError:
        raise InvalidArgumentError("The instance is no URL that can be read") from None
    if not parts.netloc.isascii():
        raise InvalidArgumentError("The instance's host must be plain ASCII")
    if parts.netloc.endswith(":") or port == 0:
        raise InvalidArgumentError("The instance's URL has a colon without a port, or port 0")
    _check_parts(parts.scheme, host, parts.path)
    if parts.query or parts.fragment:
        raise InvalidArgumentError("The instance's URL can't have a query or a fragment")
    loopback = _is_loopback(host)
    if parts.scheme == "http" and not loopback and not allow_insecure:
        raise InvalidArgumentError(
            f"Plain http to {host} would show the credential to everybody on the way: use https, "
            "or allow_insecure=True if you know better"
        )
    shown = f"[{host}]" if ":" in host else host
    suffix = "" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}"
    prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return Instance(f"{parts.scheme}://{shown}{suffix}", prefix, host, loopback)


def _check_parts(scheme: str, host: str, path: str) -> None:
    if scheme not in _DEFAULT_PORTS:
        raise InvalidArgumentError(f"The instance's scheme must be https, not {scheme!r}")
    if "%" in host:
        raise InvalidArgumentError("The instance's address can't name a network interface")
    if not _is_address(host) and not all(_LABEL.fullmatch(x) for x in host.split(".")):
        raise InvalidArgumentError(f"{host!r} is no host name")
    if re.search(r"%(2f|5c|25)", path, re.IGNORECASE):
        raise InvalidArgumentError("The instance's path can't hold an encoded slash or percent")
    if {".", ".."} & set(path.replace("%2e", ".").replace("%2E", ".").split("/")):
        raise InvalidArgumentError("The instance's path can't have '.' or '..' in it")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if _is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"
