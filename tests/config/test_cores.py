"""`workers: auto` is as many as there are cores to use, not as many as the machine has."""

import os
from pathlib import Path

import pytest

from gateway.config.cores import cores_by, usable_cores
from tests.config.written import SMALLEST, loaded


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))


def usable(folder: Path, membership: str, files: dict[str, str]) -> int:
    (folder / "self").write_text(membership)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return cores_by(folder / "self", folder)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("5000000 100000", 8),
        ("", 8),
        ("1 0", 8),
    ],
)
def test_a_quota_is_rounded_up_to_whole_cores(tmp_path: Path, quota: str, cores: int) -> None:
    assert usable(tmp_path, "0::/\n", {"cpu.max": quota}) == cores


@pytest.mark.parametrize(
    ("path", "said_at"),
    [
        ("/system.slice/gateway.service", "system.slice/gateway.service"),
        ("/system.slice/gateway.service", "system.slice"),
        ("/docker/0123", "."),
        ("/../outside", "."),
    ],
)
def test_the_quota_of_the_own_cgroup_counts_and_that_of_every_one_above(
    tmp_path: Path, path: str, said_at: str
) -> None:
    assert usable(tmp_path, f"0::{path}\n", {f"{said_at}/cpu.max": "300000 100000"}) == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("400000", 4)])
def test_version_1_has_a_hierarchy_for_the_cpu(tmp_path: Path, quota: str, cores: int) -> None:
    membership = "9:name=systemd:/\n4:cpu,cpuacct:/box\n3:cpuset:/\n0::/\n"
    files = {"cpu/box/cpu.cfs_quota_us": quota, "cpu/box/cpu.cfs_period_us": "100000\n"}
    assert usable(tmp_path, membership, files) == cores


def test_where_there_are_no_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cores_by(tmp_path / "missing", tmp_path) == 8


def test_where_nobody_tells_what_a_process_is_bound_to_all_cores_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under macOS."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cores_by(tmp_path / "missing", tmp_path) == 5


def test_auto_takes_them_once_and_a_number_does_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a container that is given more would refuse every reload until it is restarted."""
    usable_cores.cache_clear()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0})
    assert loaded(tmp_path, f"{SMALLEST}workers: 40\n").workers == 40
    assert loaded(tmp_path, f"{SMALLEST}workers: auto\n").workers == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2})
    assert loaded(tmp_path, f"{SMALLEST}workers: auto\n").workers == 1
    usable_cores.cache_clear()
