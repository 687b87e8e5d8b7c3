import gzip

import pytest

from gateway.portal.answers import Refusal
from gateway.portal.intake import optional, required
from tests.portal.house import AT, PASSWORD

JSON = {"Content-Type": "application/json"}
RIGHT = b'{"username": "alice", "password": "' + PASSWORD.encode() + b'"}'


async def send(browser, body, **headers):
    return await browser.client.post(
        AT + "/login", data=body, headers=headers, allow_redirects=False
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (RIGHT, 200),
        (b"", 400),
        (b"{", 400),
        (b"nonsense", 400),
        (b"\xff\xfe{", 400),
        (b"\xef\xbb\xbf" + RIGHT, 400),
        (b'{"username": "alice", "username": "bob", "password": "x"}', 400),
        (b'{"username": ' + b"[" * 30_000, 400),
        (b'{"username": ' + b"9" * 10_000 + b"}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"alice"', 422),
        (b"NaN", 422),
        (b" " * (64 * 1024) + RIGHT, 413),
    ],
)
async def test_json_that_is_not_an_object_of_fields_has_a_status_of_its_own(
    browser, house, body, status
):
    answer = await send(browser, body, **JSON)

    assert answer.status == status
    assert "login.failed" not in house.kinds()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"username=alice&password=correct+horse+battery", 303),
        (b"username=alice&password=correct+horse+battery&unknown=1", 303),
        (b"", 422),
        (b"username=alice&username=bob&password=x", 400),
        (b"username=%ff&password=x", 400),
        (b"a=&" * 40, 400),
        (b"\xff\xfe", 400),
        (b"x=" + b"y" * 70_000, 413),
    ],
)
async def test_a_form_that_cannot_be_read_has_a_status_of_its_own(browser, body, status):
    answer = await send(browser, body, **{"Content-Type": "application/x-www-form-urlencoded"})

    assert answer.status == status


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json",
        "application/xml",
        "application/octet-stream",
        "nonsense",
        "application/json; charset=utf-16",
        "application/json; charset=nonsense",
    ],
)
async def test_another_type_of_body_is_415(browser, content_type):
    answer = await send(browser, RIGHT, **{"Content-Type": content_type})

    assert answer.status == 415


async def test_a_compressed_body_is_refused(browser):
    answer = await browser.client.post(
        AT + "/login",
        data=gzip.compress(RIGHT),
        headers={**JSON, "Content-Encoding": "gzip"},
    )

    assert answer.status == 415


async def test_a_body_of_unknown_length_is_capped_as_it_comes(browser):
    async def endless():
        for _ in range(100):
            yield b"x" * 10_000

    answer = await browser.client.post(AT + "/login", data=endless(), headers=JSON)

    assert answer.status == 413


def test_a_field_is_text_or_missing():
    assert required({"a": "x"}, "a") == "x"
    assert optional({}, "a") == ""
    assert optional({"a": None}, "a") == ""
    for unfit in (1, 1.5, True, [], {}, "\0", "\udfff"):
        with pytest.raises(Refusal) as refusal:
            optional({"a": unfit}, "a")
        assert (refusal.value.status, refusal.value.field) == (422, "a")
    with pytest.raises(Refusal):
        required({"a": ""}, "a")
