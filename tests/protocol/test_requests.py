"""Whatever is asked arrives as it was given, or is refused before it is sent."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError, UnsupportedOnSurfaceError
from domo_files_async.models import Grant, PermissionEntry, Permissions
from domo_files_async.protocol import requests
from domo_files_async.protocol.surface import surface_rules

APP, PRODUCT = surface_rules(Surface.APP), surface_rules(Surface.PRODUCT)
BOTH = pytest.mark.parametrize("rules", [APP, PRODUCT], ids=["app", "product"])
BODY = {"content_type": "text/csv", "boundary": "frame"}
TYPED = {"name": "a", "content_type": "text/csv"}

IDS = st.integers(min_value=1, max_value=2**63 - 1)
NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60
).filter(str.strip)
DESCRIPTIONS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"))


def asked(request):
    assert request.target.isascii()
    return parse_qs(
        request.query, keep_blank_values=True, strict_parsing=bool(request.query), max_num_fields=9
    )


@BOTH
@given(name=NAMES, description=DESCRIPTIONS, public=st.booleans())
def test_any_name_and_description_arrive_as_they_were_given(rules, name, description, public):
    request = requests.upload_file(rules, name=name, description=description, public=public, **BODY)
    assert asked(request) == {
        "name": [name],
        "description": [description],
        "public": ["true" if public else "false"],
    }


@pytest.mark.parametrize("name", ["a b", "a&b=c", "a#b", "a+b", "100%", "%0A", '"q"', "😀", "../x"])
def test_a_name_with_characters_of_a_url_arrives_as_it_was_given(name):
    request = requests.upload_file(PRODUCT, name=name, **BODY)
    assert unquote(request.query.split("&")[0].removeprefix("name=")) == name
    assert "+" not in request.query


@BOTH
@given(name=NAMES, description=st.none() | DESCRIPTIONS)
def test_a_session_is_created_with_the_texts_that_were_given(rules, name, description):
    new = requests.create_multipart_session(
        rules, name=name, content_type="text/csv", description=description
    )
    update = requests.create_multipart_update_session(
        rules, 401, name=name, content_type="text/csv", description=description
    )
    said = {"name": name, "contentType": "text/csv", "Cache-Control": "no-cache"}
    if description is not None:
        said["description"] = description
    assert json.loads(new.content) == said
    assert json.loads(update.content) == {"fileId": 401, **said}


@given(name=NAMES)
def test_a_form_can_be_read_by_another_parser_with_any_name(name):
    request = requests.upload_file(APP, name=name, **BODY)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    whole = head + request.prefix + b"a,b\r\n\x00\xff" + request.suffix
    (part,) = BytesParser(policy=HTTP.clone(utf8=True)).parsebytes(whole).iter_parts()
    assert part.get_payload(decode=True) == b"a,b\r\n\x00\xff"
    assert part.get_param("name", header="Content-Disposition") == "file"
    assert part.get_content_type() == "text/csv"
    line = request.prefix.split(b"\r\n")[1].decode()
    escaped = line.removeprefix('Content-Disposition: form-data; name="file"; filename="')
    assert escaped.removesuffix('"') == name.replace('"', "%22")


def test_the_frame_of_a_form_is_what_the_page_shows():
    request = requests.upload_file(APP, name='a "b".csv', **BODY)
    assert request.headers["Content-Type"] == "multipart/form-data; boundary=frame"
    assert request.prefix == (
        b"--frame\r\n"
        b'Content-Disposition: form-data; name="file"; filename="a %22b%22.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n"
    )
    assert request.suffix == b"\r\n--frame--\r\n"
    assert request.content is None


def test_a_raw_body_has_no_frame():
    request = requests.upload_file(PRODUCT, name="a", **BODY)
    assert (request.prefix, request.suffix, request.content) == (b"", b"", None)
    assert request.headers["Content-Type"] == "text/csv"


@BOTH
@given(ids=st.lists(IDS, max_size=600))
@example(ids=list(range(10**17, 10**17 + 500)))
def test_any_number_of_ids_is_asked_once_each_in_order_and_in_short_targets(rules, ids):
    made = requests.list_files(rules, ids=ids, expand=("revisions", "metadata"))
    seen = [int(one) for r in made for one in asked(r)[rules.ids_parameter][0].split(",")]
    assert seen == list(dict.fromkeys(ids))
    assert all(len(request.target) <= 2_000 for request in made)
    if ids:
        assert len(made) <= 1 + sum(len(str(one)) + 1 for one in ids) // 1_500


@BOTH
def test_no_ids_make_no_request_and_no_choice_makes_one(rules):
    assert len(requests.list_files(rules, ids=[])) == 0
    (request,) = requests.list_files(rules)
    assert rules.ids_parameter not in asked(request)


@BOTH
def test_one_word_to_expand_may_be_given_as_it_is_and_twice(rules):
    assert requests.get_file(rules, 1, expand="revisions").query == "expand=revisions"
    assert requests.get_file(rules, 1, expand=["metadata"] * 2).query == "expand=metadata"
    assert requests.get_file(rules, 1).query == ""


@given(session_id=NAMES.filter(lambda text: text not in {".", ".."}))
@example("a/../b?c#d")
def test_any_session_id_is_one_segment_of_the_path(session_id):
    request = requests.abort_multipart_session(PRODUCT, session_id)
    segments = request.path.split("/")
    assert len(segments) == len(f"{PRODUCT.base}/multipart/x/abort".split("/"))
    assert unquote(segments[-2]) == session_id


@pytest.mark.parametrize(
    ("byte_range", "header"),
    [((0, 1), "bytes=0-0"), ((5, 10), "bytes=5-9"), ((7, None), "bytes=7-")],
)
def test_a_range_is_sent_with_its_last_byte(byte_range, header):
    request = requests.download(APP, 401, byte_range=byte_range)
    assert request.headers["Range"] == header


@BOTH
def test_a_download_names_the_revision_only_when_one_is_asked(rules):
    assert requests.download(rules, 401).target == f"{rules.base}/401"
    assert requests.download(rules, 401, revision_id=9).target == f"{rules.base}/401/revisions/9"
    assert "Range" not in requests.download(rules, 401).headers
    assert requests.download(rules, 401).operation == "open_download"
    assert requests.download(rules, 401).repeatable


def test_the_instances_prefix_is_before_every_path():
    rules = surface_rules(Surface.PRODUCT, prefix="/proxy/eu")
    assert requests.get_file(rules, 1).path == "/proxy/eu/api/data/v1/data-files/1/details"
    assert requests.get_current_user(rules).path == "/proxy/eu/api/content/v2/users/me"
    assert requests.commit_multipart_session(rules, "s").path.startswith("/proxy/eu/api/data/")


def test_permissions_are_sent_with_what_was_not_understood():
    entry = PermissionEntry("ROBOT", 7, "READ_DREAM", pass_="SOME", extra={"since": 2019})
    permissions = Permissions(True, [entry], extra={"owner": None})
    request = requests.update_permissions(PRODUCT, 401, permissions)
    assert json.loads(request.content) == {
        "publicAccess": True,
        "owner": None,
        "entries": [
            {
                "entityType": "ROBOT",
                "entityId": "7",
                "grant": "READ_DREAM",
                "pass": "SOME",
                "since": 2019,
            }
        ],
    }


def test_an_entry_that_came_without_pass_is_sent_without_it():
    permissions = Permissions(False, [PermissionEntry("USER", "1", Grant.READ, pass_=None)])
    (entry,) = json.loads(requests.update_permissions(APP, 1, permissions).content)["entries"]
    assert "pass" not in entry


WITH_ID = {
    "get_file": requests.get_file,
    "download": requests.download,
    "download_revision": lambda r, x: requests.download(r, 1, revision_id=x),
    "upload_revision": lambda r, x: requests.upload_revision(r, x, **BODY),
    "list_files": lambda r, x: requests.list_files(r, ids=[x]),
    "delete_revision": lambda r, x: requests.delete_revision(r, 1, x),
    "delete_revision_of": lambda r, x: requests.delete_revision(r, x, 1),
    "get_permissions": requests.get_permissions,
    "update_permissions": lambda r, x: requests.update_permissions(r, x, Permissions(True)),
    "update_session": lambda r, x: requests.create_multipart_update_session(r, x, **TYPED),
    "list_revisions": requests.list_revisions,
    "copy_revision": lambda r, x: requests.copy_revision(r, x, 1),
    "copy_revision_to": lambda r, x: requests.copy_revision(r, 1, x),
    "duplicate_file": requests.duplicate_file,
    "delete_file": requests.delete_file,
    "get_revision": lambda r, x: requests.get_revision(r, x, 1),
    "get_revision_number": lambda r, x: requests.get_revision(r, 1, x),
}


@pytest.mark.parametrize("wrong", [-2, 2**63, 10**30, True, "401", "../1", 1.0, [1]], ids=repr)
@pytest.mark.parametrize("call", WITH_ID)
def test_what_is_no_id_is_refused_everywhere(call, wrong):
    with pytest.raises(InvalidArgumentError):
        WITH_ID[call](PRODUCT, wrong)


@pytest.mark.parametrize("call", sorted(set(WITH_ID) - {"list_files"}))
def test_an_id_may_be_any_that_64_bits_hold(call):
    assert str(2**63 - 1) in WITH_ID[call](PRODUCT, 2**63 - 1).path


@pytest.mark.parametrize("call", sorted(set(WITH_ID) - {"get_revision_number"}))
def test_only_a_revisions_details_know_the_newest_one_as_minus_one(call):
    with pytest.raises(InvalidArgumentError):
        WITH_ID[call](PRODUCT, -1)


BAD_TEXTS = ["a\nb", "a\rb", "a\x00", "\x7f", "a\x85b", "a\x9f", "\ud800", "a\u2028b"]


@BOTH
@pytest.mark.parametrize("name", ["", "  ", None, b"a", 7, *BAD_TEXTS], ids=repr)
def test_what_is_no_name_is_refused(rules, name):
    with pytest.raises(InvalidArgumentError, match="name"):
        requests.upload_file(rules, name=name, **BODY)
    with pytest.raises(InvalidArgumentError, match="name"):
        requests.create_multipart_session(rules, name=name, content_type="text/csv")
    with pytest.raises(InvalidArgumentError, match="name"):
        requests.create_multipart_update_session(rules, 1, name=name, content_type="text/csv")


@pytest.mark.parametrize("description", [7, b"a", "a\x00", "\x1b", "\x7f", "\udfff"], ids=repr)
def test_what_is_no_description_is_refused(description):
    with pytest.raises(InvalidArgumentError, match="description"):
        requests.upload_file(PRODUCT, name="a", description=description, **BODY)
    with pytest.raises(InvalidArgumentError, match="description"):
        requests.create_multipart_session(APP, **TYPED, description=description)


@pytest.mark.parametrize(
    "content_type",
    ["", "csv", None, 7, "text/csv\r\nX-Evil: 1", "text/csv\n", "text/ü", "a b/c", "text/csv;\x7f"],
    ids=repr,
)
def test_what_is_no_content_type_is_refused(content_type):
    for call in (
        lambda: requests.upload_file(APP, name="a", content_type=content_type, boundary="f"),
        lambda: requests.upload_revision(PRODUCT, 1, content_type=content_type, boundary="f"),
        lambda: requests.create_multipart_session(APP, name="a", content_type=content_type),
        lambda: requests.upload_part(APP, "s", 1, content_type=content_type, checksum=None),
    ):
        with pytest.raises(InvalidArgumentError, match="content type"):
            call()


@pytest.mark.parametrize("content_type", ["text/csv; charset=utf-8", "application/vnd.a+json"])
def test_a_content_type_is_sent_as_it_was_given(content_type):
    request = requests.upload_part(APP, "s", 1, content_type=content_type, checksum=None)
    assert request.headers["Content-Type"] == content_type


@pytest.mark.parametrize("index", [0, 10_001, -1, True, 1.0, "1", None], ids=repr)
def test_an_index_outside_1_to_10000_is_refused(index):
    with pytest.raises(InvalidArgumentError, match="index"):
        requests.upload_part(APP, "s", index, content_type="a/b", checksum=None)


@pytest.mark.parametrize("index", [1, 10_000])
def test_the_first_and_the_last_index_are_taken(index):
    request = requests.upload_part(APP, "s", index, content_type="a/b", checksum=None)
    assert request.path.endswith(f"/part/{index}")


@pytest.mark.parametrize("checksum", ["", "ab", "g" * 64, "a" * 65, "a" * 64 + "\n", 7], ids=repr)
def test_what_is_no_checksum_is_refused(checksum):
    with pytest.raises(InvalidArgumentError, match="checksum"):
        requests.upload_part(APP, "s", 1, content_type="a/b", checksum=checksum)


@pytest.mark.parametrize("session_id", ["", ".", "..", None, 7, "a\nb", "\ud800"], ids=repr)
def test_what_is_no_session_id_is_refused(session_id):
    for call in (
        lambda: requests.upload_part(APP, session_id, 1, content_type="a/b", checksum=None),
        lambda: requests.commit_multipart_session(APP, session_id),
        lambda: requests.abort_multipart_session(APP, session_id),
    ):
        with pytest.raises(InvalidArgumentError, match="session"):
            call()


@pytest.mark.parametrize("byte_range", [(-1, 2), (2, 2), (3, 2), (0, -1), (0.0, 1)], ids=repr)
def test_a_range_without_a_byte_is_refused(byte_range):
    with pytest.raises(InvalidArgumentError, match="byte_range"):
        requests.download(APP, 1, byte_range=byte_range)


@pytest.mark.parametrize("expand", ["owner", ("revisions", "x"), [7]], ids=repr)
def test_what_cant_be_expanded_is_refused(expand):
    with pytest.raises(InvalidArgumentError, match="expand"):
        requests.get_file(APP, 1, expand=expand)
    with pytest.raises(InvalidArgumentError, match="expand"):
        requests.list_files(APP, expand=expand)


@pytest.mark.parametrize("user_id", [None, True, "7&x=1", -3], ids=repr)
def test_own_files_need_the_users_id_on_the_product_surface(user_id):
    with pytest.raises(InvalidArgumentError, match="user_id"):
        requests.list_files(PRODUCT, limit_to_owned=True, user_id=user_id)


def test_only_the_whole_number_minus_one_is_the_newest_revision():
    with pytest.raises(InvalidArgumentError, match="revision_id"):
        requests.get_revision(PRODUCT, 1, -1.0)


@pytest.mark.parametrize("extra", [{"x": float("nan")}, {"x": {1, 2}}], ids=repr)
def test_what_cant_be_json_is_refused(extra):
    with pytest.raises(InvalidArgumentError, match="JSON"):
        requests.update_permissions(APP, 1, Permissions(public_access=True, extra=extra))


def test_arguments_of_another_kind_are_refused():
    with pytest.raises(InvalidArgumentError, match="permissions"):
        requests.update_permissions(APP, 1, {"publicAccess": True})
    with pytest.raises(InvalidArgumentError, match="ids"):
        requests.list_files(APP, ids=7)
    with pytest.raises(InvalidArgumentError, match="expand"):
        requests.get_file(APP, 1, expand=7)
    for byte_range in (5, (1, 2, 3)):
        with pytest.raises(InvalidArgumentError, match="byte_range"):
            requests.download(APP, 1, byte_range=byte_range)


@pytest.mark.parametrize("flag", ["false", 0, None], ids=repr)
def test_a_flag_that_isnt_one_is_refused(flag):
    with pytest.raises(InvalidArgumentError, match="public"):
        requests.upload_file(APP, name="a", public=flag, **BODY)
    with pytest.raises(InvalidArgumentError, match="limit_to_owned"):
        requests.list_files(APP, limit_to_owned=flag)


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("get_revision", [1, 1]),
        ("list_revisions", [1]),
        ("copy_revision", [1, 2]),
        ("duplicate_file", [1]),
        ("delete_file", [1]),
        ("get_current_user", []),
    ],
)
def test_what_only_the_product_surface_has_is_refused_on_the_other(operation, args):
    with pytest.raises(UnsupportedOnSurfaceError, match=operation):
        getattr(requests, operation)(APP, *args)
