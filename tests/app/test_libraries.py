"""R11: what is known to be unsafe does not serve."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.app.libraries import UnfitLibraries, check_libraries, is_older

ROOT = Path(__file__).parents[2]


def test_what_is_installed_here_is_fit():
    check_libraries()


def test_the_parser_in_python_is_refused():
    """It takes chunk extensions with bare CR, and Content-Length in trailers."""
    ended = subprocess.run(
        [sys.executable, "-c", "from gateway.app.libraries import *; check_libraries()"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "UnfitLibraries: aiohttp runs without its compiled parser" in ended.stderr


def test_a_version_with_known_holes_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(
        "gateway.app.libraries._FLOORS",
        (("aiohttp", "3.14.2", "3.14.3"), ("PyJWT", "2.13.0", "2.13.0")),
    )

    with pytest.raises(UnfitLibraries, match=r"^aiohttp 3\.14\.2 has known holes; 3\.14\.3 or"):
        check_libraries()


@pytest.mark.parametrize(
    ("found", "older"),
    [
        ("3.14.3", False),
        ("3.14.10", False),
        ("4.0", False),
        ("3.14.3.post1", False),
        ("3.14.2", True),
        ("3.9.99", True),
        ("3.14", True),
        ("3.14.3rc1", True),
        ("3.14.3.dev0", True),
        ("3.15.0a1", False),
    ],
)
def test_versions_are_compared_as_numbers(found, older):
    assert is_older(found, "3.14.3") is older
