import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.sessions.session import (
    VERSION,
    Device,
    UnreadableRecord,
    decode,
    encode,
    session_hash,
)
from tests.sessions.examples import SESSION_ID, session

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(
    st.text(min_size=1),
    st.lists(st.text()),
    st.dictionaries(st.text(), json_values, max_size=4),
    st.text(max_size=500),
)
def test_a_record_reads_back_as_what_was_written(subject, groups, claims, agent):
    original = session(
        principal=Principal(subject, groups=tuple(groups), claims=claims), device=Device(agent)
    )

    assert decode(encode(original)) == original
    assert encode(decode(encode(original))) == encode(original)
    assert encode(original).isascii()


def test_members_that_a_newer_release_added_survive_our_writing():
    members = json.loads(encode(session()))
    newer = {**members, "v": VERSION + 1, "key": {"kty": "EC"}, "bound": 17}

    read = decode(json.dumps(newer))
    written = json.loads(encode(read.revoke(5, "logout")))

    assert written["key"] == {"kty": "EC"}
    assert written["bound"] == 17
    assert written["v"] == VERSION + 1
    assert written["revoked"] == 5


def test_a_record_of_the_release_before_lacks_what_was_added_since():
    members = json.loads(encode(session()))
    older = {
        name: value
        for name, value in members.items()
        if name not in {"agent", "address", "provider", "claims", "groups", "name", "email", "why"}
    }
    older["v"] = VERSION - 1

    read = decode(json.dumps(older))

    assert read.principal == Principal("alice")
    assert read.version == VERSION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"v":1}',
        encode(session()).replace('"head":1', '"head":"1"'),
        encode(session()).replace('"head":1', '"head":true'),
        encode(session()).replace('"head":1,', ""),
        encode(session()).replace(f'"v":{VERSION}', f'"v":{VERSION + 2}'),
    ],
)
def test_a_damaged_record_or_one_from_the_far_future_is_unreadable(text):
    with pytest.raises(UnreadableRecord):
        decode(text)


def test_what_the_client_says_of_its_device_is_cut_to_a_bounded_length():
    device = Device("a" * 5000, "b" * 5000)

    assert len(device.user_agent) == 400
    assert len(device.address) == 64


def test_a_session_lives_until_the_shorter_of_its_two_lives_or_its_revocation():
    living = session(ends=2000, idle_ends=1000)

    assert living.alive(999)
    assert not living.alive(1000)
    assert not session(ends=1000, idle_ends=2000).alive(1000)
    assert not living.revoke(500, "logout").alive(400)
    assert living.revoke(500, "logout").over_at == 500


def test_what_logs_say_of_a_session_does_not_contain_its_id():
    assert session_hash(SESSION_ID) == session_hash(SESSION_ID)
    assert session_hash(SESSION_ID) != session_hash("B" * 22)
    assert SESSION_ID not in session_hash(SESSION_ID)
