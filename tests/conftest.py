"""What holds for every test: it leaves nothing open behind it, and CI skips none."""

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine only, not about the rule.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


_SET_ASIDE = pytest.StashKey[Path]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail the test that leaves a socket or a coroutine behind, and not one that runs much later.

    Such things hang in cycles that only a collection frees, and one of all generations is rare.
    """
    yield
    if isinstance(item, pytest.Function):
        item.funcargs.clear()  # what the fixtures gave would still be held
    with warnings.catch_warnings(record=True) as left_behind:
        warnings.simplefilter("always")
        gc.collect()
    if item.config.stash.get(_SET_ASIDE, None) != item.path:
        # What the first test of a module brought up stays; to walk through it each time is slow.
        item.config.stash[_SET_ASIDE] = item.path
        gc.freeze()
    if left_behind:
        told = "\n".join(str(warning.message) for warning in left_behind)
        pytest.fail(f"left behind:\n{told}", pytrace=False)


def pytest_sessionfinish() -> None:
    """Let pytest's last look for what nobody closed see all there is."""
    gc.unfreeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """In CI a skipped test is a failure: what a machine lacks, `.ci/run` installs."""
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
