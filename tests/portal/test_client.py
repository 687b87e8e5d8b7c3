import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.portal.client import address_of, bearer_of, device_of


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_the_first_address_is_the_clients(forwarded, address):
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded})

    assert address_of(request) == address


def test_a_request_that_says_nothing_comes_from_nowhere():
    device = device_of(make_mocked_request("GET", "/"))

    assert (device.address, device.user_agent) == ("", "")


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("Bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_read_as_rfc_6750_says(authorization, token):
    request = make_mocked_request("GET", "/", headers={"Authorization": authorization})

    assert bearer_of(request) == token
