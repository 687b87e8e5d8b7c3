"""TLS as a function of bytes: however they are cut, what was sent comes out, and nothing stays."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.tls_endpoint import PIECE, RECORD, TlsEndpoint
from tests.certificates import make_pair, written
from tests.proxy.conftest import trusting
from tests.proxy.tls_client import ALERT, CLOSE_NOTIFY, HANDSHAKE, KEY_UPDATE, VERSIONS, Forger


@dataclass
class Peer:
    """A client in memory, and what the endpoint has sent it."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    @classmethod
    def with_(cls, context: ssl.SSLContext) -> "Peer":
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        return cls(tls, incoming, outgoing)

    def shakes_hands(self) -> bytes:
        """Take the next step, and return what it sends."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def sends(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def ends(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    def hears(self, ciphertext: bytes) -> bytes:
        """Return the plaintext; b"" at its end is the other's close_notify."""
        self.incoming.write(ciphertext)
        received = bytearray()
        try:
            while data := self.tls.read(65536):
                received += data
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return bytes(received)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("pair")
    written(made, *make_pair("localhost"))
    return made


@pytest.fixture(scope="module")
def context(folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return made


def connected(context: ssl.SSLContext, **client) -> tuple[TlsEndpoint, Peer]:
    """Both after their handshake."""
    endpoint, peer = TlsEndpoint(context), Peer.with_(trusting(**client))
    rest = None
    while rest is None:
        rest = endpoint.shake_hands(peer.shakes_hands())
        peer.incoming.write(endpoint.outgoing.read())
    peer.shakes_hands()
    return endpoint, peer


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def pair(request: pytest.FixtureRequest, context: ssl.SSLContext) -> tuple[TlsEndpoint, Peer]:
    return connected(context, maximum_version=request.param)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 200_000), max_size=30),
    ends=st.booleans(),
)
def test_however_the_ciphertext_is_cut_the_plaintext_is_the_same(
    context: ssl.SSLContext, version, sizes: list[int], cuts: list[int], ends
):
    """The handshake's last flight included, behind which the first request begins."""
    endpoint, peer = TlsEndpoint(context), Peer.with_(trusting(maximum_version=version))
    endpoint.shake_hands(peer.shakes_hands())
    peer.incoming.write(endpoint.outgoing.read())
    stream = peer.shakes_hands()
    if version is ssl.TLSVersion.TLSv1_2:
        # There, the server has the last word.
        assert endpoint.shake_hands(stream) == b""
        peer.incoming.write(endpoint.outgoing.read())
        stream = peer.shakes_hands()
    sent = [bytes((n,)) * size for n, size in enumerate(sizes)]
    stream += b"".join(map(peer.sends, sent)) + (peer.ends() if ends else b"")

    received, shaken = b"", version is ssl.TLSVersion.TLSv1_2
    places = sorted({cut % len(stream) for cut in cuts} | {0, len(stream)})
    for begin, end in pairwise(places):
        piece: bytes | memoryview | None = stream[begin:end]
        if not shaken:
            piece = endpoint.shake_hands(piece)
            shaken = piece is not None
        if piece is not None:
            received += endpoint.decrypt(piece)
            assert endpoint._incoming.pending == 0

    assert received == b"".join(sent)
    assert endpoint.ended is ends
    assert not endpoint.broken


def test_byte_by_byte_is_enough(context: ssl.SSLContext):
    endpoint, peer = TlsEndpoint(context), Peer.with_(trusting())
    rest = None
    while rest is None:
        for byte in peer.shakes_hands():
            rest = endpoint.shake_hands(bytes((byte,)))
        peer.incoming.write(endpoint.outgoing.read())
    received = b"".join(endpoint.decrypt(bytes((byte,))) for byte in peer.sends(b"a request"))

    assert received == b"a request"
    assert peer.hears(endpoint.encrypt(b"an answer")) == b"an answer"


@pytest.mark.parametrize("size", [1, RECORD, RECORD + 1, PIECE])
def test_what_is_encrypted_is_all_of_it_and_nothing_stays_behind(pair, size: int):
    endpoint, peer = pair
    data = bytes(range(256)) * (size // 256) + b"!" * (size % 256)

    assert peer.hears(endpoint.encrypt(data)) == data
    assert endpoint.outgoing.pending == 0


def test_a_peer_that_has_ended_is_answered_until_we_end(pair):
    endpoint, peer = pair
    assert endpoint.decrypt(peer.sends(b"a request") + peer.ends()) == b"a request"
    assert endpoint.ended

    assert peer.hears(endpoint.encrypt(b"an answer")) == b"an answer"
    farewell = endpoint.farewell()
    assert farewell
    peer.incoming.write(farewell)
    with pytest.raises(ssl.SSLZeroReturnError):
        peer.tls.read(1)


def test_after_our_end_the_peer_is_still_heard_to_its_own(pair):
    endpoint, peer = pair
    assert peer.hears(endpoint.encrypt(b"refused") + endpoint.farewell()) == b"refused"

    assert endpoint.decrypt(peer.sends(b"more") + peer.sends(b"and more")) == b"moreand more"
    assert not endpoint.ended
    peer.tls.unwrap()
    assert endpoint.decrypt(peer.outgoing.read()) == b""
    assert endpoint.ended


def test_what_comes_after_the_peers_end_is_ignored(pair):
    """RFC 8446 §6.1."""
    endpoint, peer = pair
    assert endpoint.decrypt(peer.ends()) == b""

    assert endpoint.decrypt(b"\x17\3\3\0\x20" + bytes(32)) == b""
    assert endpoint.decrypt(b"GET / HTTP/1.1\r\n\r\n" * 10_000) == b""
    assert endpoint._incoming.pending == 0
    assert not endpoint.broken


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize(
    "garbage", [b"\x17\3\3\0\x20" + bytes(32), b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\xff" * 6]
)
def test_garbage_breaks_it_after_what_was_good_and_the_peer_is_told(
    pair, garbage: bytes, joined: bool
):
    endpoint, peer = pair
    good, behind = peer.sends(b"a request"), peer.sends(b"another")
    if joined:
        received = endpoint.decrypt(good + garbage)
    else:
        received = endpoint.decrypt(good) + endpoint.decrypt(garbage)

    assert received == b"a request"
    assert endpoint.broken
    assert not endpoint.ended
    peer.incoming.write(endpoint.outgoing.read())
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        peer.tls.read(1)
    held = endpoint._incoming.pending
    assert endpoint.decrypt(behind) == b""
    assert endpoint._incoming.pending == held


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\3\1\0\5hello"])
def test_what_is_no_tls_is_an_error_of_the_handshake(context: ssl.SSLContext, first: bytes):
    with pytest.raises(ssl.SSLError):
        TlsEndpoint(context).shake_hands(first)


def test_a_client_without_a_cipher_in_common_is_told(folder: Path):
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    strict.minimum_version = strict.maximum_version = ssl.TLSVersion.TLSv1_2
    strict.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    client = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    endpoint, peer = TlsEndpoint(strict), Peer.with_(client)

    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        endpoint.shake_hands(peer.shakes_hands())

    peer.incoming.write(endpoint.outgoing.read())
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        peer.tls.do_handshake()


# However much comes at once.


class Watched:
    """A buffer of OpenSSL's that tells how much was put into it at once."""

    def __init__(self, buffer: ssl.MemoryBIO) -> None:
        self._buffer = buffer
        self.most = 0

    def write(self, data) -> int:
        self.most = max(self.most, len(data))
        return self._buffer.write(data)

    @property
    def pending(self) -> int:
        return self._buffer.pending


def test_a_hello_that_is_longer_than_a_piece_is_heard_to_its_end(context: ssl.SSLContext):
    client = trusting()
    client.set_alpn_protocols(["x" * 200 + str(number) for number in range(200)])
    endpoint, peer = TlsEndpoint(context), Peer.with_(client)
    hello = peer.shakes_hands()
    assert len(hello) > PIECE

    assert endpoint.shake_hands(hello) is None
    peer.incoming.write(endpoint.outgoing.read())
    assert endpoint.shake_hands(peer.shakes_hands()) == b""


def test_a_long_request_right_behind_the_handshake_is_all_there(context: ssl.SSLContext):
    """And passes through OpenSSL's buffers, which never shrink, piece by piece."""
    endpoint, peer = TlsEndpoint(context), Peer.with_(trusting())
    endpoint.shake_hands(peer.shakes_hands())
    peer.incoming.write(endpoint.outgoing.read())
    data = bytes(range(250)) * 400
    last = peer.shakes_hands() + b"".join(
        peer.sends(data[at : at + RECORD]) for at in range(0, len(data), RECORD)
    )
    watched = endpoint._incoming = Watched(endpoint._incoming)

    rest = endpoint.shake_hands(last)

    assert rest
    assert endpoint.decrypt(rest) == data
    assert watched.most <= PIECE


class Hesitant:
    """A connection that takes less than all that is to be written, as OpenSSL may."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        self._tls = tls

    def write(self, data) -> int:
        return self._tls.write(memoryview(data)[:1000])


def test_what_openssl_did_not_take_at_once_is_written_all_the_same(pair):
    endpoint, peer = pair
    endpoint.tls = Hesitant(endpoint.tls)
    data = bytes(range(256)) * 20

    assert peer.hears(endpoint.encrypt(data)) == data


# What no library sends.


@pytest.fixture
def forged(context: ssl.SSLContext, tmp_path: Path) -> tuple[TlsEndpoint, Peer, Forger]:
    log = tmp_path / "keys"
    endpoint, peer = connected(context, keylog_filename=str(log))
    return endpoint, peer, Forger(log)


def test_a_forged_record_is_one(forged):
    endpoint, _, forger = forged
    assert endpoint.decrypt(forger.record(b"hello")) == b"hello"
    assert endpoint.decrypt(forger.record(CLOSE_NOTIFY, ALERT)) == b""
    assert endpoint.ended


def test_new_keys_are_used_and_answered_and_data_goes_on_in_both_directions(forged):
    endpoint, peer, forger = forged
    for number in range(50):
        data = b"message %d" % number
        assert endpoint.decrypt(forger.key_update() + forger.record(data)) == data
        assert peer.hears(endpoint.encrypt(data)) == data


def test_half_a_message_that_is_no_data_stands_in_the_way_until_the_rest_has_come(forged):
    """OpenSSL would not write in the middle of it; the transport gives such a client up."""
    endpoint, _, forger = forged
    assert endpoint.decrypt(forger.record(KEY_UPDATE[:4], HANDSHAKE)) == b""
    with pytest.raises(ssl.SSLWantReadError):
        endpoint.encrypt(b"an answer")
    assert endpoint.outgoing.pending == 0

    assert endpoint.decrypt(forger.record(KEY_UPDATE[4:], HANDSHAKE)) == b""
    assert endpoint.encrypt(b"an answer")


def test_records_without_content_are_borne_but_not_for_ever(forged):
    endpoint, _, forger = forged
    assert endpoint.decrypt(forger.record(b"") + forger.record(b"x")) == b"x"

    endpoint.decrypt(b"".join(forger.record(b"") for _ in range(100)))

    assert endpoint.broken


def test_a_crowd_of_tiny_records_is_told_to_be_work(forged):
    endpoint, _, forger = forged
    assert endpoint.decrypt(b"".join(forger.record(b"x") for _ in range(60))) == b"x" * 60
    assert not endpoint.laborious

    assert endpoint.decrypt(b"".join(forger.record(b"x") for _ in range(2000))) == b"x" * 2000

    assert endpoint.laborious
    assert endpoint._incoming.pending == 0
