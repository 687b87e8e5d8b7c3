"""Where a WebSocket frame ends, however its bytes arrive."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.frames import Frames, close_frame


def frame(payload: bytes, *, masked=False) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2)
    else:
        length = b"\x7f" + size.to_bytes(8)
    first = length[0] | (0x80 if masked else 0)
    return b"\x82" + bytes((first,)) + length[1:] + (b"mask" if masked else b"") + payload


sizes = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 65535, 65536]))
frames = st.lists(st.builds(lambda n, m: frame(b"x" * n, masked=m), sizes, st.booleans()))


@given(frames, st.data())
def test_the_end_of_every_frame_is_seen_wherever_the_bytes_are_cut(sent, data):
    stream = b"".join(sent)
    ends = {0}
    for one in sent:
        ends.add(max(ends) + len(one))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    seen = Frames()

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen.feed(stream[start:end])
        assert seen.between == (end in ends)


@given(frames.filter(bool), st.integers(1, 20))
def test_the_first_end_of_a_frame_in_some_bytes_is_found(sent, begun):
    stream = b"".join(sent)
    begun = min(begun, len(sent[0]) - 1)
    seen = Frames()
    seen.feed(stream[:begun])

    assert seen.end_of_frame(stream[begun:]) == len(sent[0]) - begun
    assert seen.between


def test_a_frame_without_an_end_has_none():
    seen = Frames()

    assert seen.end_of_frame(b"\x82\x05abc") == -1
    assert not seen.between


def test_a_close_frame_is_unmasked_and_carries_code_and_reason():
    assert close_frame(1001, "bye") == b"\x88\x05\x03\xe9bye"
