"""TLS as a transport: what the protocol above hears, and what the one below is given."""

import asyncio
import ssl
from contextlib import suppress

import pytest

from gateway.proxy.tls import TlsTransport
from tests.proxy.conftest import trusting
from tests.proxy.tls_client import HANDSHAKE, KEY_UPDATE, Forger
from tests.proxy.tls_in_memory import Above, Below, Both

# A record that nobody with the keys has written.
GARBAGE = b"\x17\3\3\0\x20" + bytes(32)


@pytest.fixture
def both(tls: ssl.SSLContext, tmp_path) -> Both:
    return Both(tls, trusting(keylog_filename=str(tmp_path / "keys")))


async def test_the_end_waits_as_long_as_the_protocol_wants_a_pause(both: Both):
    both.above.on_data = both.transport.pause_reading
    both.client.write(b"a request")
    both.end()
    assert both.above.heard == [b"a request"]
    assert both.below.paused

    both.transport.resume_reading()
    both.transport.pause_reading()
    await asyncio.sleep(0)
    assert both.above.heard == [b"a request"]
    both.transport.resume_reading()
    both.transport.resume_reading()
    assert not both.below.paused
    for _ in range(3):
        await asyncio.sleep(0)

    assert both.above.heard == [b"a request", "end"]


async def test_a_protocol_that_has_nothing_left_to_say_is_closed_with_a_goodbye(both: Both):
    both.above.keeps_open = False
    both.end()

    assert both.below.closed
    with pytest.raises(ssl.SSLZeroReturnError):
        both.client.read(1)


async def test_a_cut_off_peer_cannot_be_answered_as_if_it_had_ended(both: Both):
    both.above.keeps_open = True
    assert both.transport.can_write_eof()

    both.transport.eof_received()

    assert both.above.heard == ["end"]
    assert not both.transport.can_write_eof()
    assert both.below.closed


async def test_the_protocol_hears_nothing_after_it_has_closed(both: Both):
    both.above.on_data = both.transport.close
    both.client.write(b"a request")
    both.end()

    assert both.above.heard == [b"a request"]
    both.transport.connection_lost(None)
    assert both.above.heard == [b"a request", "lost"]
    both.transport.write(b"too late")
    both.transport.write_eof()
    both.transport.close()
    assert both.below.written == []


async def test_after_our_end_nothing_is_written_and_the_peer_is_heard(both: Both, tmp_path):
    both.transport.write_eof()
    assert both.below.ended
    both.deliver()
    assert both.client.read(1) == b""
    both.transport.write(b"too late")
    forger = Forger(tmp_path / "keys")
    both.transport.data_received(forger.key_update() + forger.record(b"more"))

    assert both.above.heard == [b"more"]
    assert both.below.written == []
    assert not both.below.aborted


async def test_nobody_needs_to_read_our_replies_but_few_of_them_wait(both: Both, tmp_path):
    """Each new key is answered; whoever reads no answer would fill our memory."""
    forger = Forger(tmp_path / "keys")
    for _ in range(100):
        both.transport.data_received(forger.key_update())
    assert not both.below.aborted
    both.below.unread = 256 * 1024

    both.transport.data_received(forger.key_update())

    assert both.below.aborted


async def test_an_answer_into_half_a_message_ends_the_connection(both: Both, tmp_path):
    both.transport.data_received(Forger(tmp_path / "keys").record(KEY_UPDATE[:4], HANDSHAKE))

    both.transport.write(b"an answer")

    assert both.below.aborted


async def test_tiny_records_let_others_have_a_turn(both: Both, tmp_path):
    forger = Forger(tmp_path / "keys")
    both.transport.data_received(b"".join(forger.record(b"x") for _ in range(500)))
    assert both.above.heard == [b"x" * 500]
    assert both.below.paused

    await asyncio.sleep(0)

    assert not both.below.paused
    both.transport.data_received(forger.record(b"y"))
    assert not both.below.paused


async def test_a_turn_for_others_ends_no_pause_that_the_protocol_wants(both: Both, tmp_path):
    forger = Forger(tmp_path / "keys")
    both.transport.data_received(b"".join(forger.record(b"x") for _ in range(500)))
    both.transport.pause_reading()

    await asyncio.sleep(0)

    assert both.below.paused


@pytest.mark.parametrize("size", [1, 16384, 100_000, 10_000_000])
async def test_long_writes_are_encrypted_piece_by_piece(both: Both, size: int):
    data = bytes(range(250)) * (size // 250) + bytes(size % 250)

    both.transport.write(memoryview(data) if size % 2 == 0 else data)

    assert max(map(len, both.below.written)) < 33_000
    both.deliver()
    received = bytearray()
    with suppress(ssl.SSLWantReadError):
        while True:
            received += both.client.read(65536)
    assert received == data


async def test_lines_are_written_as_one(both: Both):
    both.transport.writelines([b"a", b"b" * 10])
    both.transport.write(b"")

    assert len(both.below.written) == 1
    both.deliver()
    assert both.client.read(100) == b"a" + b"b" * 10


async def test_a_transport_says_what_it_is_and_takes_another_protocol(both: Both):
    other = Above()
    both.transport.set_protocol(other)
    both.send(b"hello")

    assert both.transport.get_protocol() is other
    assert other.heard == [b"hello"]
    assert both.above.heard == []
    assert both.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert both.transport.get_extra_info("nothing", "default") == "default"


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\x16\3\1\0\5hello"])
async def test_no_handshake_no_protocol(tls: ssl.SSLContext, first: bytes):
    above, below = Above(), Below()
    transport = TlsTransport(tls, above)
    transport.connection_made(below)
    transport.pause_writing()
    transport.resume_writing()
    transport.data_received(first)
    transport.data_received(first)

    assert below.closed
    # OpenSSL has no alert for what is nothing like TLS.
    answers = {b"G": [b"in clear"], b"\0": [], b"\x16": [b"\x15\3\3\0\2\2\n"]}
    assert below.written == answers[first[:1]]
    transport.connection_lost(None)
    assert above.did_fail
    assert above.heard == []


async def test_r5_who_is_dropped_at_once_costs_no_handshake(tls: ssl.SSLContext):
    above = Above()
    above.drops = True

    both = Both(tls, trusting(), above)

    assert both.below.aborted
    assert both.incoming.pending == 0, "nobody answers it"
    both.transport.connection_lost(None)
    assert above.did_fail


async def test_a_protocol_that_gives_up_as_it_begins_hears_no_request(tls: ssl.SSLContext):
    above = Above()
    above.gives_up = True

    both = Both(tls, trusting(), above, early=b"a request")

    assert above.heard == []
    assert both.below.closed


async def test_after_it_is_aborted_nothing_is_written(both: Both):
    both.transport.abort()

    both.transport.write(b"too late")
    both.transport.write_eof()
    both.transport.close()

    assert both.transport.is_closing()
    assert both.below.written == []
    assert not both.below.ended


async def test_what_closes_or_is_lost_below_is_so_above(both: Both):
    both.below.closed = True
    assert both.transport.is_closing()

    both.transport.connection_lost(OSError("gone"))
    both.below.closed = False
    both.transport.write(b"too late")

    assert both.above.heard == ["lost"]
    assert both.below.written == []


async def test_flow_control_is_that_of_the_transport_below(both: Both):
    both.transport.set_write_buffer_limits(high=5, low=3)
    both.below.unread = 7
    both.transport.pause_writing()
    both.transport.resume_writing()

    assert both.below.limits == (5, 3)
    assert both.transport.get_write_buffer_size() == 7
    assert both.above.heard == ["pause", "resume"]


async def test_a_peer_that_leaves_in_its_handshake_is_not_waited_for(tls: ssl.SSLContext):
    transport = TlsTransport(tls, Above())
    transport.connection_made(Below())

    assert not transport.eof_received()


async def test_a_peer_that_sends_garbage_is_told_and_gone(both: Both):
    both.transport.data_received(GARBAGE)

    assert both.above.heard == ["end"]
    assert both.below.closed
    assert not both.transport.can_write_eof()
    both.deliver()
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        both.client.read(1)


async def test_what_is_answered_to_a_request_before_garbage_is_not_sent(both: Both):
    both.above.on_data = lambda: both.transport.write(b"an answer")
    both.client.write(b"a request")
    both.transport.data_received(both.outgoing.read() + GARBAGE)

    assert both.above.heard == [b"a request", "end"]
    assert not both.below.aborted
    both.deliver()
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        both.client.read(1)


async def test_garbage_after_our_end_is_told_to_nobody(both: Both):
    both.transport.write_eof()
    both.deliver()

    both.transport.data_received(GARBAGE)

    assert both.below.written == []


async def test_whoever_goes_on_after_its_own_end_is_read_no_more(both: Both):
    both.end()
    assert not both.below.paused

    both.transport.data_received(GARBAGE)

    assert both.below.paused
    assert both.above.heard == ["end"]


async def test_no_end_is_told_after_closing(both: Both):
    both.transport.pause_reading()
    both.end()
    both.transport.resume_reading()
    both.transport.close()
    for _ in range(3):
        await asyncio.sleep(0)

    assert both.above.heard == []


async def test_a_cut_after_closing_is_no_end_either(both: Both):
    both.transport.close()
    both.transport.eof_received()

    assert both.above.heard == []
