"""Names of requests: unique, harmless, and a peer's only when the peer is trusted."""

import pytest

from gateway.observability.request_id import accepted, request_ids


def test_ids_are_unique_and_name_their_process():
    one, other = request_ids(b"\x01" * 8), request_ids(b"\x02" * 8)

    ids = [one() for _ in range(1000)] + [other() for _ in range(1000)]

    assert len(set(ids)) == 2000
    assert ids[0] == "0101010101010101" + "00000001"


@pytest.mark.parametrize("value", ["0123abc", "a3f1-22:7@x.y_z/w+v=", "x" * 128])
def test_a_trusted_peer_names_its_requests(value):
    assert accepted(value, trusted=True) == value


@pytest.mark.parametrize("value", ["", "a b", "a\r\nb", "a\n", 'a"b', "Zoë", "x" * 129, None])
def test_a_malformed_name_is_not_taken_over(value):
    assert accepted(value, trusted=True) is None


def test_a_stranger_does_not_name_our_requests():
    assert accepted("0123abc", trusted=False) is None
