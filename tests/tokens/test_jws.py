"""The compact form: one text, one reading."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import jws
from gateway.tokens.algorithms import UnfitKey, VerifyingKey, from_jwk
from gateway.tokens.jws import BadToken
from tests.fakes import signing_key
from tests.shared_data import shared_data
from tests.tokens.forgery import forge, forge_parts, header, part

KEY = signing_key()
RSA = signing_key("RS256")
VERIFYING = KEY.verifying()


def opened(token: str, key: VerifyingKey = VERIFYING) -> dict[str, object]:
    compact = jws.read(token)
    jws.verify(compact, key)
    return jws.claims(compact)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text("xyz", max_size=5), json_values, max_size=4))
def test_what_was_sealed_is_read_back(content: dict[str, object]) -> None:
    assert opened(jws.seal(content, KEY, "at+jwt")) == content


circle: list[object] = []
circle.append(circle)
deep: list[object] = []
for _ in range(5000):
    deep = [deep]


@pytest.mark.parametrize(
    "value",
    [b"", object(), float("nan"), "\ud800", 10**20, {1: "a", "1": "b"}, {(1,): 2}, circle, deep],
)
def test_what_would_not_be_read_back_is_not_sealed(value: object) -> None:
    with pytest.raises(jws.Unsayable):
        jws.seal({"odd": value}, KEY, "at+jwt")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_every_algorithm_proves_its_own_signature_and_no_other(algorithm: str) -> None:
    key, other = signing_key(algorithm), signing_key(algorithm)
    token = jws.seal({"a": 1}, key, "at+jwt")

    assert opened(token, key.verifying()) == {"a": 1}
    with pytest.raises(BadToken, match="signature"):
        opened(token, other.verifying())


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a..b",
        ".a.b",
        "a.b.",
        "a.b.c.d",
        "a.b.c.d.e",  # an encrypted token
        "a b.c.d",
        "é.b.c",
        "e30.e30.YQ\n",
        "\ne30.e30.YQ",
        "e30.e30.Y+",
        "e30.e30.Y/",
        "\ud800.e30.YQ",
        "gr1.key-1.session.1.mac",  # a refresh token
    ],
)
def test_what_is_not_three_parts_of_base64url_is_refused(token: str) -> None:
    with pytest.raises(BadToken, match="three parts"):
        jws.read(token)


def test_a_token_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    head = part(header(KEY))
    room = jws.MAX_TOKEN - len(head) - len("..")
    rest = 4 if room % 4 != 1 else 6  # no base64url has a length of 4n + 1
    largest = f"{head}.{'A' * (room - rest)}.{'A' * rest}"

    assert len(largest) == 4096
    assert jws.read(largest).header == header(KEY)
    with pytest.raises(BadToken, match="longer"):
        jws.read(largest + "A")


def test_a_megabyte_is_refused_for_its_size_alone() -> None:
    with pytest.raises(BadToken, match="longer"):
        jws.read("." * 1_000_000)


def test_padding_is_refused() -> None:
    head, payload = part(header(KEY)), part({"a": 1})
    assert len(payload) % 4
    assert opened(forge_parts(KEY, head, payload)) == {"a": 1}

    with pytest.raises(BadToken, match="three parts"):
        opened(forge_parts(KEY, head, payload + "=" * (-len(payload) % 4)))


def test_unused_bits_must_be_zero_so_that_a_token_has_one_spelling() -> None:
    token = jws.seal({"a": 1}, KEY, "at+jwt")  # 64 bytes of signature leave four bits unused
    last = token[-1]
    twin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = twin[twin.index(last) + 1]

    with pytest.raises(BadToken, match="canonical"):
        jws.read(token[:-1] + other)


def test_a_part_of_impossible_length_is_refused() -> None:
    with pytest.raises(BadToken, match="base64url"):
        jws.read(f"{part(header(KEY))}.abcde.YQ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crit", ["exp"]),
        ("crit", []),
        ("crit", ["b64"]),
        ("b64", False),
        ("b64", True),
        ("zip", "DEF"),
        ("enc", "A128GCM"),
    ],
)
def test_a_header_that_changes_the_meaning_is_refused(name: str, value: object) -> None:
    token = forge(KEY, {**header(KEY), name: value}, {"a": 1})

    with pytest.raises(BadToken, match=name):
        opened(token)


BAD_JSON = [
    (b"", "three parts"),
    (b"nonsense", "JSON"),
    (b'{"a": 1', "JSON"),
    (b'{"a": 1} {}', "JSON"),
    (b"[]", "object"),
    (b"null", "object"),
    (b'"text"', "object"),
    (b"12", "object"),
    (b'{"a": 1, "a": 2}', "JSON"),
    (b'{"b": {"a": 1, "\\u0061": 2}}', "JSON"),
    (b'{"a": NaN}', "JSON"),
    (b'{"a": Infinity}', "JSON"),
    (b'{"a": -Infinity}', "JSON"),
    (b'{"a": 1e999}', "JSON"),
    (b'{"a": ' + b"9" * 21 + b"}", "JSON"),
    (b'{"a": ' + b"9" * 2900 + b"}", "JSON"),
    (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "JSON"),
    (b'{"a": ' + b'{"a": ' * 20 + b"1" + b"}" * 21, "JSON"),
    (b'{"a": ' + b"[" * 1400 + b"]" * 1400 + b"}", "JSON"),
    (b"[" * 2900, "JSON"),
    (b'\xef\xbb\xbf{"a": 1}', "JSON"),
    ('{"a": 1}'.encode("utf-16"), "JSON"),
    (b'{"a": "\xff"}', "JSON"),
    (b'{"a": "\xc0\xaf"}', "JSON"),
    (b'{"a": "\\ud800"}', "JSON"),
    (b'{"\\udfff": 1}', "JSON"),
    (b'{"a": "\n"}', "JSON"),
]


@pytest.mark.parametrize(("payload", "why"), BAD_JSON)
def test_a_payload_that_is_not_a_strict_json_object_is_refused(payload: bytes, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        opened(forge(KEY, header(KEY), payload))


@pytest.mark.parametrize(("head", "why"), BAD_JSON)
def test_a_header_that_is_not_a_strict_json_object_is_refused(head: bytes, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        jws.read(forge(KEY, head, {"a": 1}))


@pytest.mark.parametrize("kid", [None, 1, ["key-1"], {"key-1": 1}, True])
def test_a_header_whose_kid_is_no_text_names_no_key(kid: object) -> None:
    compact = jws.read(forge(KEY, {**header(KEY), "kid": kid}, {"a": 1}))

    with pytest.raises(BadToken, match="names no key"):
        _ = compact.kid


@pytest.mark.parametrize(
    "alg",
    ["none", "None", "NONE", "nOnE", "HS256", "RS256", "ES384", "ES512", "es256", "", None, 7, []],
)
def test_the_header_cannot_choose_the_algorithm(alg: object) -> None:
    """CVE-2016-10555 and every algorithm confusion since (J1): the key knows its own."""
    token = forge(KEY, {**header(KEY), "alg": alg}, {"a": 1})

    with pytest.raises(BadToken, match="not signed with ES256"):
        opened(token)


def test_a_header_without_alg_is_refused() -> None:
    with pytest.raises(BadToken, match="not signed with ES256"):
        opened(forge(KEY, {"kid": KEY.kid, "typ": "at+jwt"}, {"a": 1}))


@pytest.mark.parametrize("signature", [b"\0", b"\0" * 64, b"\xff" * 64, b"a" * 63, b"a" * 2000])
@pytest.mark.parametrize("key", [KEY, RSA, signing_key("EdDSA"), signing_key("HS256")])
def test_a_signature_of_the_wrong_form_is_refused(signature: bytes, key) -> None:
    token = f"{part(header(key))}.{part({'a': 1})}.{part(signature)}"

    with pytest.raises(BadToken, match="signature"):
        opened(token, key.verifying())


def test_an_error_never_quotes_the_token() -> None:
    token = forge(KEY, header(KEY), b'{"secret-claim": 1, "secret-claim": 2}')

    with pytest.raises(BadToken) as caught:
        opened(token)

    assert "secret-claim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# ---------------------------------------------------------------------------------- Wycheproof

# Where we refuse what the file calls valid, or the file contradicts itself.
STRICTER = {
    **dict.fromkeys((259, 264, 268, 272, 320, 325), "an empty payload is no JSON object"),
    **dict.fromkeys((346, 350), "the header says PS384, the key is for PS256"),
    **dict.fromkeys((347, 351), "the key says ES521, an algorithm that does not exist"),
    **dict.fromkeys((372, 373), "a character outside base64url is refused, not skipped"),
}
SAME_BYTES_AS_VALID = {367, 370}  # the file lost the padding that these two are about


def wycheproof_key(group: dict) -> VerifyingKey | None:
    if "public" in group:
        try:
            return from_jwk(group["public"])
        except UnfitKey:
            return None
    secret = base64.urlsafe_b64decode(group["private"]["k"] + "==")
    return VerifyingKey(group["private"]["kid"], "HS256", secret)


def test_wycheproof_signatures_are_judged_as_its_authors_judge_them() -> None:
    """J1 and J4: 401 cases, each with its key, down to the bytes of the payload."""
    file = shared_data("wycheproof_json_web_signature_test.json")
    wrong, seen = [], 0
    for group in json.loads(file.read_text())["testGroups"]:
        key = wycheproof_key(group)
        for case in group["tests"]:
            seen += 1
            expected = case["result"] == "valid" and case["tcId"] not in STRICTER
            if case["tcId"] not in SAME_BYTES_AS_VALID and accepted(case["jws"], key) != expected:
                wrong.append((case["tcId"], case["comment"], case["result"]))

    assert wrong == []
    assert seen == 401


def accepted(token: str, key: VerifyingKey | None) -> bool:
    if key is None:
        return False
    try:
        compact = jws.read(token)
        jws.verify(compact, key)
    except BadToken:
        return False
    return compact.kid == key.kid
