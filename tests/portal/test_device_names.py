import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.device_names import ago, describe, iso

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROMIUM = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROMIUM}", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROMIUM} Edg/140.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROMIUM}", "Chrome on ChromeOS"),
        (f"Mozilla/5.0 (Linux; Android 15) {CHROMIUM}", "Chrome on Android"),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {APPLE} Version/18 Safari/605",
            "Safari on Mac",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {APPLE} Version/18 Safari/605",
            "Safari on iPhone",
        ),
        (
            f"Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) {APPLE} CriOS/140 Safari/605",
            "Chrome on iPad",
        ),
        ("curl/8.9.1", "curl"),
        ("python-requests/2.32", "python-requests"),
        ("Mozilla/5.0 (X11; Linux)", "A browser on Linux"),
        ("Mozilla/5.0", "Unknown device"),
        ("", "Unknown device"),
    ],
)
def test_a_device_has_a_name_that_its_owner_knows(user_agent, name):
    assert describe(user_agent) == name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3_599, "59 minutes ago"),
        (3_600, "1 hour ago"),
        (86_400, "1 day ago"),
        (13 * 86_400, "13 days ago"),
        (14 * 86_400, "on 1 January 2027"),
    ],
)
def test_a_moment_is_told_as_people_do(seconds, text):
    assert ago(NOW - seconds, NOW) == text


def test_a_moment_is_written_for_programs():
    assert iso(NOW) == "2027-01-15T08:00:00Z"


@given(st.text(max_size=200))
def test_no_user_agent_upsets_it(user_agent):
    assert describe(user_agent)
