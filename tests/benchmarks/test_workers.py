"""What N workers do is told beside what one did, and small cores are given and taken back."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import spread, workers
from benchmarks.measure import Sample
from benchmarks.small_cores import NotAllowed, small_cores
from benchmarks.wrk import Load


def taken(requests: int, cpu_seconds: float = 0.1) -> Sample:
    return Sample(Load(requests, 2.0, 0, 100.0, 9000.0, 0, 0), cpu_seconds, 50_000_000)


def told(number: int, taken_by_them: list[Sample], alone: list[Sample]) -> dict[str, str]:
    row = workers.row(number, taken_by_them, alone, [1 / number] * number)
    return dict(zip(workers._HEAD[1:], row, strict=True))


def test_throughput_is_told_as_a_multiple_of_one_worker_in_the_same_round() -> None:
    row = told(4, [taken(3600), taken(360)], [taken(1000), taken(100)])
    assert (row["× one"], row["of N × one"]) == ("3.60", "90%")


def test_the_cpu_that_was_used_is_told_in_cores() -> None:
    row = told(1, [taken(1000)], [taken(1000)])
    assert (row["CPU used"], row["CPU µs/request"]) == ("0.05", "100.0")


def test_gateways_that_were_measured_together_are_told_as_one() -> None:
    one = workers.together([taken(1000, 0.1), taken(3000, 0.3)])
    assert (one.requests_per_second, one.cpu_us_per_request) == (2000, 100.0)
    assert one.load.p99_us == 9000.0
    assert one.resident_bytes == 100_000_000


def test_a_worker_that_answered_nothing_has_its_part_too() -> None:
    assert workers.shares(Counter({"0": 3, "2": 1}), 3) == [0.75, 0.25, 0.0]


@pytest.mark.parametrize(
    ("connections", "busy"), [([16], 1.0), ([8, 8], 2.0), ([8, 4, 4], 2.0), ([0, 5], 1.0)]
)
def test_the_worker_with_most_connections_is_the_limit(connections: list[int], busy: float) -> None:
    assert spread.kept_busy(connections) == busy


@pytest.mark.parametrize(
    ("shows", "told"),
    [
        ("cpu.cfs_quota_us", {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "2500"}),
        ("cgroup.subtree_control", {"cpu.max": "2500 50000"}),
    ],
)
def test_each_process_has_a_small_core_of_its_own_and_nothing_is_left_behind(
    tmp_path: Path, shows: str, told: dict[str, str]
) -> None:
    """On a folder that looks like the system's."""
    (tmp_path / shows).write_text("cpuset cpu memory")
    with small_cores(tmp_path) as cores:
        cores.give([11, 12])
        for process in ("11", "12"):
            made = tmp_path / f"benchmark-{process}"
            found = {each.name: each.read_text() for each in made.iterdir()}
            assert found == {"cgroup.procs": process, **told}
        for file in tmp_path.glob("benchmark*/*"):
            file.unlink()  # the files of a real one go with it
    assert [each.name for each in tmp_path.iterdir()] == [shows]


@pytest.mark.parametrize("controllers", [None, "memory pids"])
def test_where_no_cgroup_controls_the_cpu_it_is_said(
    tmp_path: Path, controllers: str | None
) -> None:
    if controllers is not None:
        (tmp_path / "cgroup.subtree_control").write_text(controllers)
    with pytest.raises(NotAllowed, match="no cgroups that control the CPU"), small_cores(tmp_path):
        pytest.fail("there are none")


def test_where_cgroups_cannot_be_made_it_is_said_why(tmp_path: Path) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("-1")
    (tmp_path / "benchmark").mkdir()
    with (
        pytest.raises(NotAllowed, match="cgroups cannot be made"),
        small_cores(tmp_path),
    ):
        pytest.fail("there are none")
