"""What the endurance benchmark calls the same amount of memory."""

import pytest

from benchmarks.endurance import verdict

MB = 1_000_000


@pytest.mark.parametrize(
    ("resident", "said"),
    [
        ([120, 121, 121, 121], "the same as after the first step: at most +1.0 MB (+0.8%)"),
        ([120, 122, 121, 121, 121], "more than after the first step: at most +2.0 MB (+1.7%)"),
        ([400, 403, 403, 403], "more than after the first step: at most +3.0 MB (+0.8%)"),
        ([120, 119, 118, 118], "the same as after the first step: at most +0.0 MB (+0.0%)"),
    ],
    ids=["same", "more by share", "more by bytes", "less"],
)
def test_memory_is_the_same_within_one_per_cent_and_two_megabytes(resident, said):
    assert f"Memory is {said}." in verdict([each * MB for each in resident])


@pytest.mark.parametrize(
    ("resident", "said"),
    [
        ([400, 403, 402, 403, 402], "steady: 1.0 MB apart"),
        ([120, 120, 120, 121], "not steady: 1.0 MB apart"),
    ],
)
def test_what_still_moves_in_the_last_three_steps_is_not_steady(resident, said):
    assert verdict([each * MB for each in resident]).endswith(f"The last steps are {said}.")
