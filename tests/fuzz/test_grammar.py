"""The same targets, fed with messages that are nearly right, the same ones each time."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz import grammar
from tests.fuzz.bodies import chunked_body
from tests.fuzz.reader import requests_in
from tests.fuzz.request_stream import request_stream
from tests.fuzz.response_stream import response_stream
from tests.fuzz.targets import TARGETS
from tests.fuzz.told import trusted_headers

_TEXTS = [
    name
    for name in TARGETS
    if name not in {"request_stream", "response_stream", "trusted_headers", "chunked_body"}
]


@settings(max_examples=300, derandomize=True)
@given(grammar.requests())
def test_h1_whatever_clients_send_only_whole_requests_reach_the_app(data):
    request_stream(data)


@settings(max_examples=300, derandomize=True)
@given(grammar.answers())
def test_h3_whatever_apps_answer_the_client_is_never_misled(data):
    response_stream(data)


@settings(max_examples=300, derandomize=True)
@given(grammar.chunked())
def test_h1_a_chunked_body_has_one_reading_however_it_is_cut(data):
    chunked_body(data)


@settings(max_examples=100, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"X-Forwarded-For",
                    b"X-Forwarded-Proto",
                    b"X-Forwarded-Host",
                    b"X-Forwarded-Uri",
                    b"X-Forwarded-Method",
                    b"X-Original-URL",
                    b"X-Request-Id",
                    b"Cookie",
                    b"Origin",
                ]
            ),
            st.one_of(
                st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
                st.sampled_from(
                    [b"https", b"1.2.3.4", b"::1, 8.8.8.8", b"a.b:80", b"/x/..", b"PUT"]
                ),
            ),
        ),
        max_size=6,
    )
)
def test_i4_whatever_trusted_proxies_tell_is_believed_whole_or_refused(fields):
    trusted_headers(b"\r\n".join(name + b": " + value for name, value in fields))


@pytest.mark.parametrize("name", _TEXTS)
@settings(max_examples=100, derandomize=True)
@given(data=st.data())
def test_texts_of_any_bytes_hold(name, data):
    target = TARGETS[name]
    seeds = [path.read_bytes() for path in sorted(target.corpus.iterdir())]
    known = data.draw(st.sampled_from(seeds))
    at, until = sorted(data.draw(st.tuples(*[st.integers(0, len(known))] * 2)))

    target.run(known[:at] + data.draw(st.binary(max_size=12)) + known[until:])


@settings(max_examples=200, derandomize=True)
@given(grammar.requests())
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
def test_the_other_reader_ends_where_what_it_read_ends(data):
    """Guards the judge: what it calls whole requests is a prefix of what was sent, in order."""
    ends = [found.end for found in requests_in(data)]

    assert ends == sorted(set(ends))
    assert all(end <= len(data) for end in ends)
