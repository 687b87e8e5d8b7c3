"""What the table says follows from what was measured."""

from benchmarks import table
from benchmarks.measure import Sample, median, median_ratio
from benchmarks.wrk import Load


def taken(cpu_seconds: float, requests: int = 1000) -> Sample:
    return Sample(Load(requests, 2.0, 500_000, 100.0, 900.0, 0, 0), cpu_seconds, 1_000_000)


def test_cpu_time_is_told_per_request() -> None:
    assert taken(cpu_seconds=0.05, requests=1000).cpu_us_per_request == 50.0


def test_rates_are_told_per_second() -> None:
    assert taken(1.0).requests_per_second == 500.0


def test_one_disturbed_round_does_not_move_the_median() -> None:
    assert median([taken(1.0), taken(9.0), taken(1.2)], lambda one: one.cpu_seconds) == 1.2


def test_a_ratio_compares_what_ran_in_the_same_round() -> None:
    ours, theirs = [taken(2.0), taken(20.0)], [taken(1.0), taken(10.0)]
    assert median_ratio(ours, theirs, lambda one: one.cpu_seconds) == 2.0


def test_a_table_aligns_names_left_and_figures_right() -> None:
    assert table.markdown(("system", "µs"), [("nginx", "9.5"), ("a", "10.0")]) == (
        "| system |   µs |\n| ------ | ---: |\n| nginx  |  9.5 |\n| a      | 10.0 |"
    )
