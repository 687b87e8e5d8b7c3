"""Why access tokens prove nothing, in words that may be labels."""

import pytest

from gateway.identity.principal import Principal
from gateway.observability.rejections import counting
from gateway.tokens.access import AccessToken, BadToken, ExpiredToken, UnknownKey

ACCESS = AccessToken(Principal("alice"), "s1", 1, 0.0, 900.0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ExpiredToken(ACCESS), "expired"),
        (UnknownKey("k9"), "unknown-key"),
        (BadToken("the signature does not fit: eyJhbGciOi"), "invalid"),
    ],
)
def test_a_refused_token_is_counted_and_still_refused(error, reason):
    told = []

    def refuse(_token: str, _now: float) -> AccessToken:
        raise error

    with pytest.raises(type(error)):
        counting(refuse, told.append)("token", 0.0)
    assert told == [reason]


def test_a_good_token_is_not_counted():
    told = []

    assert counting(lambda _token, _now: ACCESS, told.append)("token", 0.0) is ACCESS
    assert told == []
