import pytest

from domo_files_async import AppSession, Auth, DeveloperToken, InvalidArgumentError, Surface
from domo_files_async.auth import is_header_name


async def test_a_string_is_its_own_header_and_never_new():
    token = DeveloperToken("abc")
    assert await token.headers() == {"X-DOMO-Developer-Token": "abc"}
    assert not await token.refresh()
    assert (token.surface, AppSession("x").surface) == (Surface.PRODUCT, Surface.APP)


async def test_older_toolkits_have_another_header():
    assert await AppSession("abc").headers() == {"X-DOMO-Ryuu-Session": "abc"}
    older = AppSession("abc", header="X-DOMO-Ryuu-Token")
    assert await older.headers() == {"X-DOMO-Ryuu-Token": "abc"}


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callable_is_asked_once_and_again_for_a_new_one(is_async):
    tokens = iter(["one", "one", "two"])

    def plain():
        return next(tokens)

    async def asynchronous():
        return next(tokens)

    token = DeveloperToken(asynchronous if is_async else plain)
    assert [await token.headers() for _ in range(2)] == [{"X-DOMO-Developer-Token": "one"}] * 2
    assert not await token.refresh()
    assert await token.refresh()
    assert await token.headers() == {"X-DOMO-Developer-Token": "two"}


@pytest.mark.parametrize("wrong", ["", "secret\n", "sec\ret", " secret", "sécret", 5, None])
async def test_what_no_header_can_carry_is_refused_and_not_shown(wrong):
    with pytest.raises(InvalidArgumentError) as caught:
        DeveloperToken(wrong)
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidArgumentError) as caught:
        await AppSession(lambda: wrong).headers()
    assert "secret" not in str(caught.value)


def test_it_never_shows():
    assert repr(DeveloperToken("secret")) == "DeveloperToken(…)"
    assert isinstance(DeveloperToken("secret"), Auth)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("X-DOMO-Developer-Token", True),
        ("a.b~c", True),
        ("", False),
        ("X Y", False),
        ("X:", False),
        ("X\n", False),
        ("Größe", False),
        (b"X", False),
    ],
)
def test_a_headers_name_is_a_token(name, is_one):
    assert is_header_name(name) is is_one
