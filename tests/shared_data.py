"""Test data that others wrote, kept beside the repository and never in it."""

import os
from pathlib import Path

import pytest


def shared_data(name: str) -> Path:
    """Return the file called *name*, or skip the test that asks for it."""
    places = [Path(__file__).parents[2] / "shared" / "data"]
    if told := os.environ.get("SHARED_DATA"):
        places.append(Path(told))
    for place in places:
        if (place / name).exists():
            return place / name
    pytest.skip(f"no {name}: put it into ../shared/data or name its folder SHARED_DATA")
