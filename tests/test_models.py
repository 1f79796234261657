"""Models are values: they compare, pickle, and change by giving another."""

from __future__ import annotations

import itertools
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async import models
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.models import DataFile, Grant, PermissionEntry, Permissions, Revision

READ = PermissionEntry("USER", "7", Grant.READ)
GROUP = PermissionEntry("GROUP", "7", Grant.WRITE)


@pytest.mark.parametrize(
    ("grant", "text"),
    [
        (Grant.READ, "READ"),
        (Grant.ADMIN | Grant.READ, "READ_ADMIN"),
        (~Grant(0), "READ_WRITE_DELETE_SHARE_ADMIN"),
    ],
)
def test_a_grant_prints_as_the_api_writes_it(grant, text):
    assert str(grant) == text
    assert f"{grant}" == text
    assert Grant.parse(text) == grant


def test_every_set_of_rights_is_read_as_it_is_printed():
    sets = [c for n in range(1, 6) for c in itertools.combinations(Grant, n)]
    assert len(sets) == 31
    for rights in sets:
        grant = Grant(0)
        for right in rights:
            grant |= right
        assert Grant.parse(str(grant)) is grant


@given(
    text=st.sampled_from(["NONE", "", "OWN", "WRITE_READ", "READ_READ", "read", "READ_"])
    | st.text()
)
def test_any_grant_prints_as_it_was_read(text):
    assert str(Grant.parse(text)) == text


def test_an_entry_takes_ids_as_numbers_and_grants_as_texts():
    entry = PermissionEntry("USER", 7, "READ_WRITE")
    assert entry == PermissionEntry("USER", "7", Grant.READ | Grant.WRITE)
    assert entry.pass_ == "NONE"


@pytest.mark.parametrize("entity_id", [None, True, 1.5, ["7"]], ids=repr)
def test_what_cant_be_a_principal_is_refused(entity_id):
    with pytest.raises(InvalidArgumentError, match="entity_id"):
        PermissionEntry("USER", entity_id, Grant.READ)


@pytest.mark.parametrize("grant", [None, 7, Grant(0)], ids=repr)
def test_what_cant_be_a_grant_is_refused(grant):
    with pytest.raises(InvalidArgumentError, match="grant"):
        PermissionEntry("USER", 7, grant)


@pytest.mark.parametrize("entity_type", [None, 7, ["USER"]], ids=repr)
def test_what_cant_be_a_kind_of_principal_is_refused(entity_type):
    with pytest.raises(InvalidArgumentError, match="entity_type"):
        PermissionEntry(entity_type, 7, Grant.READ)


@pytest.mark.parametrize("public", ["no", "false", 0, None], ids=repr)
def test_public_or_not_is_no_matter_of_opinion(public):
    with pytest.raises(InvalidArgumentError, match="public_access"):
        Permissions(public)
    with pytest.raises(InvalidArgumentError, match="public_access"):
        Permissions(public_access=False).with_public_access(public)


@pytest.mark.parametrize("entry", [None, ("USER", 7), {"entityType": "USER"}], ids=repr)
def test_what_is_no_entry_is_refused(entry):
    with pytest.raises(InvalidArgumentError, match="PermissionEntry"):
        Permissions(public_access=False, entries=[READ, entry])
    with pytest.raises(InvalidArgumentError, match="PermissionEntry"):
        Permissions(public_access=False).with_entry(entry)


def test_an_entry_replaces_the_one_that_its_principal_had_and_only_that():
    before = Permissions(False, [READ, GROUP], extra={"x": 1})
    stronger = PermissionEntry("USER", 7, Grant.ADMIN)
    assert before.with_entry(stronger).entries == (stronger, GROUP)
    assert before.with_entry(stronger).extra == {"x": 1}
    assert before.entries == (READ, GROUP)


def test_an_entry_of_a_new_principal_comes_last():
    other = PermissionEntry("USER", "8", Grant.READ)
    assert Permissions(False, [READ]).with_entry(other).entries == (READ, other)


def test_an_entry_is_taken_away_by_type_and_id():
    before = Permissions(True, [READ, GROUP])
    assert before.without_entry("USER", 7).entries == (GROUP,)
    assert before.without_entry("USER", "7").entries == (GROUP,)
    assert before.without_entry("ROBOT", 7) == before


def test_access_is_changed_without_touching_the_entries():
    before = Permissions(False, [READ], extra={"x": 1})
    assert before.with_public_access(True) == Permissions(True, [READ], extra={"x": 1})


def test_models_that_differ_in_what_isnt_known_are_not_equal_and_hash():
    one = DataFile(1, "a", current_revision=Revision(2), extra={"x": [1]})
    assert one != attrs.evolve(one, extra={})
    assert hash(one) == hash(DataFile(1, "a", current_revision=Revision(2), extra={"x": [1]}))
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own


@pytest.mark.parametrize(
    "model", [getattr(models, n) for n in models.__all__ if attrs.has(getattr(models, n))]
)
def test_every_model_is_frozen_and_has_slots(model):
    assert not hasattr(model, "__dict__") or "__slots__" in vars(model)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        object.__new__(model).anything = 1
