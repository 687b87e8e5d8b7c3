"""Log injection (R10): whatever goes in, one line of printable ASCII that JSON readers accept."""

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.line import (
    LineFormat,
    quoted,
    render,
    session_hash,
    timestamp,
)

ANY_TEXT = st.text(st.characters(codec=None, categories=None, min_codepoint=0))
VALUES = st.one_of(ANY_TEXT, st.integers(), st.floats(), st.booleans(), st.none())


def printable(line: str) -> bool:
    return all(" " <= character <= "~" for character in line)


@given(ANY_TEXT)
def test_r10_quoted_text_is_printable_and_reads_back_except_for_lone_surrogates(text):
    result = quoted(text)

    assert printable(result)
    assert json.loads(result) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", '"plain"'),
        ("a\r\nb", '"a\\r\\nb"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("del\x7f", '"del\\u007f"'),
        ("Zoë\x7f", '"Zo\\u00eb\\u007f"'),
        ("\x85next line", '"\\u0085next line"'),
        ("\u2028", '"\\u2028"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
        ("undecodable \udcff", '"undecodable \\ufffd"'),
        ("😀", '"\\ud83d\\ude00"'),
    ],
)
def test_control_bytes_are_written_as_escapes(text, result):
    assert quoted(text) == result


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES))
def test_r10_any_values_are_one_line_of_json_in_the_order_given(values):
    line = render(values, LineFormat.JSON)

    assert line.endswith("}\n")
    assert printable(line[:-1])
    assert list(json.loads(line, parse_constant=pytest.fail)) == list(values)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES))
def test_r10_any_values_are_one_line_of_text_with_the_same_fields(values):
    line = render(values, LineFormat.TEXT)

    assert line.endswith("\n")
    assert printable(line[:-1])
    assert [pair.partition("=")[0] for pair in shlex.split(line)] == list(values)


def test_numbers_stay_numbers_and_anything_else_becomes_text():
    values = {"n": 3, "f": 0.5, "t": True, "none": None, "nan": float("nan"), "list": ["a\n"]}

    line = render(values, LineFormat.JSON)

    assert line == '{"n":3,"f":0.5,"t":true,"none":null,"nan":"nan","list":"[\'a\\\\n\']"}\n'


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.9999, "2027-01-15T08:00:00.999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(now, text):
    assert timestamp(now) == text


def test_a_session_is_named_by_a_short_hash_that_does_not_hold_its_id():
    assert session_hash("AAAAAAAAAAAAAAAAAAAAAA") == session_hash("AAAAAAAAAAAAAAAAAAAAAA")
    assert session_hash("AAAAAAAAAAAAAAAAAAAAAA") != session_hash("AAAAAAAAAAAAAAAAAAAAAB")
    assert len(session_hash("AAAAAAAAAAAAAAAAAAAAAA")) == 16
