import json
from http import HTTPStatus

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.identity.provider import ProviderUnavailable
from gateway.portal.answers import Refusal, problem, see_other, wants_page
from gateway.portal.edge import as_refusal
from gateway.sessions.store import StoreUnavailable

FORM = "application/x-www-form-urlencoded"
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        ({}, False),
        ({"Accept": "*/*"}, False),
        ({"Accept": "application/json"}, False),
        ({"Accept": HTML}, True),
        ({"Sec-Fetch-Mode": "navigate"}, True),
        ({"Sec-Fetch-Mode": "cors", "Accept": HTML}, False),
        ({"Sec-Fetch-Mode": "same-origin", "Content-Type": FORM}, False),
        ({"Content-Type": FORM}, True),
        ({"Content-Type": FORM, "Accept": "*/*"}, True),
        ({"Content-Type": FORM, "Accept": "application/json"}, False),
        ({"Content-Type": FORM, "Accept": f"application/json, {HTML}"}, True),
    ],
)
def test_people_get_pages_and_programs_get_json(headers, page):
    assert wants_page(make_mocked_request("POST", "/", headers=headers)) is page


def test_a_problem_is_rfc_9457_and_names_the_field():
    answer = problem(Refusal(422, "password is required.", "password"))

    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    title = HTTPStatus(422).phrase  # its wording is the Python version's
    assert answer.text == (
        f'{{"type": "about:blank", "title": "{title}", "status": 422, '
        '"detail": "password is required.", "code": "unfit", "field": "password"}'
    )


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(401, ""), "unauthenticated"),
        (Refusal(401, "", code="wrong-credentials"), "wrong-credentials"),
        (Refusal(404, ""), "no-route"),
        (Refusal(409, ""), "conflict"),
        (Refusal(429, ""), "too-many-requests"),
        (as_refusal(StoreUnavailable()), "store-unavailable"),
        (as_refusal(ProviderUnavailable()), "provider-unavailable"),
    ],
)
def test_programs_tell_problems_apart_by_a_code_as_those_of_the_data_plane(refusal, code):
    assert json.loads(problem(refusal).text)["code"] == code


def test_a_refusal_takes_its_headers_and_cookies_along():
    refusal = Refusal(
        401, "no", retry_after=7, headers=(("Allow", "GET"),), set_cookies=("a=1", "b=2")
    )

    answer = problem(refusal)

    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Allow"] == "GET"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


def test_o7_a_redirect_is_always_303():
    answer = see_other("/there", set_cookies=("a=1",))

    assert (answer.status, answer.headers["Location"]) == (303, "/there")
    assert answer.headers["Set-Cookie"] == "a=1"
