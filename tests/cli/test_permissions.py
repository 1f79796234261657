import pytest


@pytest.fixture
def uploaded(local, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x")
    return local("upload", "a.csv", "--json").lines[0]["data_file_id"]


def entries(ended):
    (said,) = ended.lines
    return {f"{one['entity_type']}:{one['entity_id']}": one["grant"] for one in said["entries"]}


def test_rights_are_given_shown_and_taken(local, uploaded):
    before = entries(local("permissions", "show", uploaded, "--json"))
    given = local("permissions", "grant", uploaded, "user:7", "GROUP:8", "--may", "read_write")
    assert given.code == 0
    assert "USER:7" in given.out
    assert "not public" in given.out
    now = entries(local("permissions", "show", uploaded, "--json"))
    assert now == {**before, "USER:7": "READ_WRITE", "GROUP:8": "READ_WRITE"}
    less = entries(local("permissions", "grant", uploaded, "USER:7", "--json"))
    assert less["USER:7"] == "READ"
    left = entries(local("permissions", "revoke", uploaded, "USER:7", "GROUP:8", "--json"))
    assert left == before


def test_someone_without_an_entry_is_told(local, uploaded):
    ended = local("permissions", "revoke", uploaded, "USER:404")
    assert ended.code == 1
    assert "USER:404 had no entry" in ended.err


@pytest.mark.parametrize("who", ["7", "USER:", ":7", "ada"])
def test_who_is_a_kind_and_an_id(local, who):
    ended = local("permissions", "grant", 1, who)
    assert ended.code == 2
    assert "USER:1089963280" in ended.err


@pytest.mark.parametrize("may", ["EVERYTHING", "WRITE_READ", "READ,WRITE"])
def test_rights_are_those_of_the_api(local, may):
    ended = local("permissions", "grant", 1, "USER:7", "--may", may)
    assert ended.code == 2
    assert "READ, WRITE, DELETE, SHARE, ADMIN" in ended.err


def test_a_file_that_isnt_there_is_told(local):
    ended = local("permissions", "show", 99999)
    assert ended.code == 1
    assert "doesn't exist" in ended.err


def test_without_a_verb_it_shows_its_help(local, run):
    assert "revoke" in run("permissions", "--help").out
    assert run("permissions").code == 2
