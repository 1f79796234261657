from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domo_files_async.planning.names import safe_file_name

FALLBACK = "data-file-7"
LONGEST = 200

DEVICES = ["con", "PRN", "aux", "nul", "com1", "COM9", "lpt1", "Com\u00b9", "LPT\u00b3", "CONIN$"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("orders.parquet", "orders.parquet"),
        ("Überblick 2024 (final).xlsx", "Überblick 2024 (final).xlsx"),
        ("報告書.pdf", "報告書.pdf"),
        ("😀.png", "😀.png"),
        ("a&b#c+d%20'e'.txt", "a&b#c+d%20'e'.txt"),
        ('"SampleFile"', "_SampleFile_"),
        ("-rf", "-rf"),
        ("_", "_"),
    ],
)
def test_an_ordinary_name_stays_as_near_as_it_can(name, safe):
    assert safe_file_name(name, fallback=FALLBACK) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\windows\\win.ini", "_.._windows_win.ini"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\secret.txt", "C__secret.txt"),
        ("\\\\host\\share\\x", "__host_share_x"),
        ("report.txt:hidden", "report.txt_hidden"),
        ("report.txt::$DATA", "report.txt__$DATA"),
        ("a<b>c|d?e*f", "a_b_c_d_e_f"),
    ],
)
def test_a_path_a_drive_or_a_stream_becomes_one_plain_name(name, safe):
    assert safe_file_name(name, fallback=FALLBACK) == safe


@pytest.mark.parametrize("name", [None, "", ".", "..", "...", " ", " . . ", "\0", "\u200b", "\t\n"])
def test_a_name_of_nothing_is_the_fallback(name):
    assert safe_file_name(name, fallback=FALLBACK) == FALLBACK


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (".bashrc", "bashrc"),
        (". .ssh", "ssh"),
        ("a.txt. . ", "a.txt"),
        ("a.txt\u3000", "a.txt"),
        ("  a.txt", "a.txt"),
        ("\u202e.bashrc", "bashrc"),
    ],
)
def test_dots_and_blanks_at_the_ends_go_so_that_nothing_is_hidden(name, safe):
    assert safe_file_name(name, fallback=FALLBACK) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a\0b.txt", "ab.txt"),
        ("a\r\nb\x7f\x85.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u200b\u200d\u2060\ufeffb\u2066", "ab"),
        ("a\u2028b\u2029", "ab"),
    ],
)
def test_what_cannot_be_seen_is_removed(name, safe):
    assert safe_file_name(name, fallback=FALLBACK) == safe


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rest", ["", ".txt", ".tar.gz", " .txt"])
def test_the_name_of_a_device_is_escaped(device, rest):
    assert safe_file_name(device + rest, fallback=FALLBACK) == f"_{device}{rest}"


@pytest.mark.parametrize("name", ["console.txt", "com10", "nullable", "a.con", "lpt", "aux_in.wav"])
def test_a_name_that_only_begins_like_a_device_stays(name):
    assert safe_file_name(name, fallback=FALLBACK) == name


@pytest.mark.parametrize(
    "name", ["co\u200bn", "nul\u202e.txt", ".nul", "con" + " " * 300 + "x.txt"]
)
def test_no_device_appears_by_what_is_removed(name):
    assert safe_file_name(name, fallback=FALLBACK).startswith("_")


def test_half_a_surrogate_pair_is_replaced():
    assert safe_file_name("a\ud800b.txt", fallback=FALLBACK) == "a_b.txt"


def test_letters_are_composed_also_where_something_stood_between():
    assert safe_file_name("u\u200b\u0308.txt", fallback=FALLBACK) == "ü.txt"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a" * 300 + ".csv", "a" * 196 + ".csv"),
        ("é" * 300 + ".csv", "é" * 98 + ".csv"),
        ("aé" * 100, "aé" * 66 + "a"),
        ("😀" * 100 + ".c", "😀" * 49 + ".c"),
        ("a" * 150 + " . " * 50 + ".csv", "a" * 150 + ".csv"),
        ("a." + "b" * 300, "a." + "b" * 198),
        ("a" * 200, "a" * 200),
        ("nul." + "x" * 300, "_nul." + "x" * 195),
    ],
)
def test_a_long_name_is_cut_between_characters_and_keeps_its_extension(name, safe):
    assert safe_file_name(name, fallback=FALLBACK) == safe


pieces = st.one_of(
    st.text(st.characters()),
    st.sampled_from([*DEVICES, *'/\\.: "<>|?*\0\u202e\u200b\u0308\ud800', "..", ".txt", "a" * 190]),
)


@given(st.lists(pieces, max_size=8).map("".join))
@example("con" + " " * 300 + "x.txt")
@example("nul." + "x" * 300)
def test_any_name_becomes_one_safe_component_that_stays_as_it_is(name):
    safe = safe_file_name(name, fallback=FALLBACK)

    assert safe_file_name(safe, fallback=FALLBACK) == safe
    assert safe
    assert not set(safe) & set('<>:"/\\|?*')
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for one in safe)
    assert unicodedata.is_normalized("NFC", safe)
    assert len(safe.encode()) <= LONGEST
    assert safe == safe.strip().strip(".")
    stem = safe.partition(".")[0].rstrip().lower()
    assert stem not in {device.lower() for device in DEVICES}
