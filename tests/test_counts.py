"""What is counted in one process."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.counts import OwnCounts

ADDRESSES = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", *ADDRESSES]))))
def test_what_is_counted_is_what_is_there_and_nothing_is_kept_of_what_is_not(happened):
    counts, there = OwnCounts(), Counter()
    for comes, address in happened:
        if comes:
            counts.add(address)
            there[address] += 1
        elif there[address]:
            counts.remove(address)
            there[address] -= 1

    assert counts.total() == there.total()
    assert [counts.of(address) for address in ADDRESSES] == [there[each] for each in ADDRESSES]
    assert counts._by_name.keys() == {each for each in ADDRESSES if there[each]}
