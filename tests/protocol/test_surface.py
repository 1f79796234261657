"""An instance's address is read as people write it, or refused without showing secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.protocol.surface import Instance, parse_instance, surface_rules


@pytest.mark.parametrize(
    ("text", "origin", "prefix", "host", "is_loopback"),
    [
        ("acme", "https://acme.domo.com", "", "acme.domo.com", False),
        ("ACME-2", "https://acme-2.domo.com", "", "acme-2.domo.com", False),
        ("acme.domo.com", "https://acme.domo.com", "", "acme.domo.com", False),
        (
            "files.example.com:8443",
            "https://files.example.com:8443",
            "",
            "files.example.com",
            False,
        ),
        ("https://acme.domo.com/", "https://acme.domo.com", "", "acme.domo.com", False),
        ("HTTPS://ACME.domo.com:443", "https://acme.domo.com", "", "acme.domo.com", False),
        ("https://h.example/a/b/", "https://h.example", "/a/b", "h.example", False),
        ("https://h.example/ü", "https://h.example", "/%C3%BC", "h.example", False),
        ("http://localhost:3000", "http://localhost:3000", "", "localhost", True),
        ("http://localhost:80", "http://localhost", "", "localhost", True),
        ("localhost", "https://localhost", "", "localhost", True),
        ("http://127.0.0.1:5", "http://127.0.0.1:5", "", "127.0.0.1", True),
        ("http://127.9.9.9", "http://127.9.9.9", "", "127.9.9.9", True),
        ("http://[::1]:3000/x", "http://[::1]:3000", "/x", "::1", True),
        ("https://[2001:db8::1]", "https://[2001:db8::1]", "", "2001:db8::1", False),
    ],
)
def test_an_address_is_read_as_people_write_it(text, origin, prefix, host, is_loopback):
    instance = parse_instance(text)
    assert instance == Instance(origin, prefix, host, is_loopback)
    assert instance.url == origin + prefix


@pytest.mark.parametrize(
    "host", ["acme.domo.com", "10.0.0.1", "[2001:db8::1]", "localhost.evil.org"]
)
def test_plain_http_to_another_machine_needs_to_be_allowed(host):
    with pytest.raises(InvalidArgumentError, match="allow_insecure"):
        parse_instance(f"http://{host}")
    assert parse_instance(f"http://{host}", allow_insecure=True).origin == f"http://{host}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        None,
        7,
        b"acme",
        "ac me",
        "acme\n",
        "acme\x00",
        "a\\b",
        "ftp://acme.domo.com",
        "file:///etc/passwd",
        "javascript://x",
        "https://",
        "https:///x",
        "https://h.example?x=1",
        "https://h.example#x",
        "https://h.example/a/../b",
        "https://h.example/%2e%2E/b",
        "https://h.example/./b",
        "https://h.example:99999",
        "https://h.example:x",
        "https://[::1",
        "https://-a.example",
        "https://a..example",
        "https://exämple.org",
        "-acme",
        "https:/acme.domo.com",
        "https://h.example:0",
        "https://h.example/..%2fx",
        "https://h.example/%252e%252e/x",
        "https://[fe80::1%eth0]",
        "acme\u212a",
        "\u017facme",
    ],
    ids=repr,
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidArgumentError):
        parse_instance(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@acme.domo.com",
        "https://hunter2@acme.domo.com",
        "ada:hunter2@acme.domo.com",
        "http://ada:hunter2@acme.domo.com:x",
        "ftp://ada:hunter2@acme.domo.com",
        "https://ada:hunter2@acme.domo.com?x#y",
        "https://ada:hunter2@ac me.domo.com",
        "https://ada:hunter2@",
        "http:/ada:hunter2@acme.domo.com",
        "hunter2:x@acme://y",
        "acme/ada:hunter2@x",
    ],
)
def test_user_info_is_refused_and_never_shown(text):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_instance(text, allow_insecure=True)
    assert "hunter2" not in str(caught.value)


@given(text=st.text(max_size=60) | st.text("ahtps:/.@[]%?#0: 1", max_size=40))
def test_any_text_is_an_address_that_can_be_sent_or_refused(text):
    try:
        instance = parse_instance(text)
    except InvalidArgumentError:
        return
    assert instance.host
    assert (instance.origin + instance.prefix).isprintable()
    assert not instance.prefix.endswith("/")
    again = parse_instance(instance.origin + instance.prefix)
    assert again == instance


def test_each_surface_has_its_own_base_and_names():
    app = surface_rules(Surface.APP, prefix="/x")
    product = surface_rules(Surface.PRODUCT)
    assert (app.base, app.ids_parameter) == ("/x/domo/data-files/v1", "ids")
    assert (product.base, product.ids_parameter) == ("/api/data/v1/data-files", "dataFileIds")
    assert app.multipart == "/x/domo/data-files/v1/multipart"
