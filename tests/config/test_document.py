"""The tree remembers places, reads as YAML 1.2 does, and cannot be made to cost much."""

import time

import pytest
import yaml

from gateway.config.document import (
    MAX_DEPTH,
    MAX_NODES,
    Mapping,
    Scalar,
    Sequence,
    Unreadable,
    parse,
)


def value_of(text: str) -> str | None:
    root, problems = parse(f"key: {text}\n", "f")
    assert problems == []
    assert isinstance(root, Mapping)
    node = root.entries["key"].node
    assert isinstance(node, Scalar)
    return node.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", "off"),  # YAML 1.1 would read false
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("null", None),
        ("~", None),
        ("", None),
        ('"null"', "null"),
        ("''", ""),
        ("!!str null", "null"),
        ("! null", "null"),
    ],
)
def test_scalars_stay_text_and_only_plain_nulls_are_nothing(
    text: str, expected: str | None
) -> None:
    assert value_of(text) == expected


def test_text_that_holds_the_private_characters_itself_stays_what_it_is() -> None:
    assert value_of("'\U000f0000 ${A}'") == "\U000f0000 ${A}"


def test_keys_and_values_have_their_own_places() -> None:
    root, _ = parse("a:\n  - b: c\n", "f")

    assert isinstance(root, Mapping)
    outer = root.entries["a"]
    assert isinstance(outer.node, Sequence)
    item = outer.node.items[0]
    assert isinstance(item, Mapping)
    inner = item.entries["b"]
    assert [
        (p.line, p.column) for p in (outer.place, item.place, inner.place, inner.node.place)
    ] == [
        (1, 1),
        (2, 5),
        (2, 5),
        (2, 8),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: the key was given before, in line 1; keep one of them"),
        (
            "a: !!python/object:os.system x\n",
            "unknown tag tag:yaml.org,2002:python/object:os.system",
        ),
        ("a: !env X\n", "unknown tag !env; the only tag is !file"),
        ("a: !!binary aGk=\n", "unknown tag tag:yaml.org,2002:binary"),
        ("a: !x {b: c}\n", "f:1:4: tag !x is not allowed here"),
        ("<<: 3\n", "f:1:5: <<: << needs a mapping"),
    ],
)
def test_what_is_doubtful_is_told_and_reading_goes_on(text: str, message: str) -> None:
    root, problems = parse(text + "last: 1\n", "f")

    assert isinstance(root, Mapping)
    assert "last" in root.entries
    assert len(problems) == 1
    assert message in str(problems[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *b\n", "f:1:4: alias *b names no anchor before it"),
        ("a: &b [*b]\n", "f:1:8: alias *b contains itself"),
        ("a: &b {c: *b}\n", "f:1:11: alias *b contains itself"),
        ("[a, b]: c\n", "f:1:1: a key must be plain text"),
        ('a: "\\UFFFFFFFF"\n', "not valid YAML: an escape sequence or directive is out of range"),
        ('a: "\\uD800"\n', "f:1:4: not valid YAML: half of a surrogate pair"),
        ("%YAML 2.0\n---\na: b\n", "not valid YAML"),
        ("a: \tb: c", "not valid YAML"),
        ("[" * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text, "f")

    assert message in str(caught.value)


def test_a_billion_laughs_end_at_once() -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    start = time.perf_counter()
    with pytest.raises(Unreadable, match=f"more than {MAX_NODES} values"):
        parse("\n".join(laughs), "f")

    assert time.perf_counter() - start < 2


def test_an_alias_repeats_its_anchor_and_a_merge_key_fills_in_what_is_missing() -> None:
    text = (
        "base: &base {a: 1, b: 2}\n"
        "plain: *base\n"
        "own: {<<: *base, b: 3}\n"
        "two: {<<: [*base, {c: 4}]}\n"
    )

    root, problems = parse(text, "f")

    assert problems == []
    assert isinstance(root, Mapping)
    written = {name: entry.node for name, entry in root.entries.items()}
    assert written["plain"] == written["base"]
    for name, expected in (("own", {"a": "1", "b": "3"}), ("two", {"a": "1", "b": "2", "c": "4"})):
        node = written[name]
        assert isinstance(node, Mapping)
        values = {key: entry.node for key, entry in node.entries.items()}
        assert {key: v.text for key, v in values.items() if isinstance(v, Scalar)} == expected


def test_the_parser_agrees_with_pyyaml_on_an_ordinary_document() -> None:
    text = "a:\n- b: text\n  c: 'quoted: text'\nd: {e: [f, g]}\nh: |\n  line\n  line\n"
    root, _ = parse(text, "f")

    def data(node: object) -> object:
        match node:
            case Scalar():
                return node.value
            case Sequence():
                return [data(item) for item in node.items]
            case Mapping():
                return {key: data(entry.node) for key, entry in node.entries.items()}
        raise AssertionError(node)

    assert data(root) == yaml.safe_load(text)
