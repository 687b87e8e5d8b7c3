"""Workers that count in one memory, against a plain count of all."""

from collections import Counter
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.workers.shared_counts import COLUMNS, SharedCounts, size_of

SECRET = b"sixteen bytes of"
WORKERS = 3
# So few that most addresses share cells.
CROWDED = 4
ADDRESSES = [f"192.0.2.{number}" for number in range(12)]


def workers_on(
    memory: bytearray, columns: int = COLUMNS, secret: bytes = SECRET
) -> list[SharedCounts]:
    return [
        SharedCounts(memoryview(memory), place, WORKERS, secret, columns)
        for place in range(WORKERS)
    ]


def memory_for(columns: int = COLUMNS) -> bytearray:
    return bytearray(size_of(WORKERS, columns))


class House:
    """Workers, and what each of them must have counted."""

    def __init__(self, columns: int, happened: Iterable[tuple[str, int, str]] = ()) -> None:
        self.columns = columns
        self.memory = memory_for(columns)
        self.workers = workers_on(self.memory, columns)
        self.model: list[Counter[str]] = [Counter() for _ in range(WORKERS)]
        for what, place, address in happened:
            self.do(what, place, address)

    def do(self, what: str, place: int, address: str) -> None:
        if what == "add":
            self.workers[place].add(address)
            self.model[place][address] += 1
        elif what == "remove" and self.model[place][address]:
            self.workers[place].remove(address)
            self.model[place][address] -= 1
        elif what == "die":
            self.workers[place].clear()
            self.workers[place] = workers_on(self.memory, self.columns)[place]
            self.model[place].clear()

    def of(self, address: str) -> int:
        return sum(each[address] for each in self.model)

    def total(self) -> int:
        return sum(each.total() for each in self.model)


whatever_happens = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "die"]),
        st.integers(0, WORKERS - 1),
        st.sampled_from(["", *ADDRESSES]),
    ),
    max_size=60,
)


@given(whatever_happens)
def test_all_agree_on_the_total_and_nobody_takes_an_address_for_less_than_it_has(happened):
    house = House(CROWDED, happened)

    for place, worker in enumerate(house.workers):
        assert worker.total() == house.total()
        elsewhere = house.total() - house.model[place].total()
        for address in ADDRESSES:
            least = house.of(address)
            assert least <= worker.of(address) <= house.model[place][address] + elsewhere


@given(whatever_happens)
def test_where_there_is_room_an_address_has_what_it_has_at_all_of_them(happened):
    house = House(COLUMNS, happened)

    for worker in house.workers:
        assert [worker.of(address) for address in ADDRESSES] == [
            house.of(address) for address in ADDRESSES
        ]


@given(whatever_happens)
def test_nothing_is_left_when_every_connection_is_closed(happened):
    house = House(CROWDED, happened)

    for place, counted in enumerate(house.model):
        for address in list(counted.elements()):
            house.do("remove", place, address)

    assert not any(house.memory)


def test_a_worker_that_dies_takes_its_own_with_it_and_nobody_elses():
    house = House(CROWDED)
    for place in range(WORKERS):
        for address in ADDRESSES:
            house.do("add", place, address)
    before = bytes(house.memory)

    house.do("die", 1, "")
    for address in ADDRESSES:
        house.do("add", 1, address)

    assert bytes(house.memory) == before


def test_its_own_connections_are_never_taken_for_somebody_elses():
    alone = workers_on(memory_for(columns=1), columns=1)[0]
    for _ in range(50):
        alone.add("192.0.2.1")

    assert alone.of("192.0.2.2") == 0
    assert alone.of("192.0.2.1") == 50


def test_connections_of_nobody_count_in_the_total_alone():
    first, second, _ = workers_on(memory_for())
    first.add("")
    second.add("192.0.2.1")

    assert second.total() == 2
    assert first.of("192.0.2.1") == 1
    assert second.of("192.0.2.2") == 0


def test_among_ten_thousand_addresses_newcomers_are_seldom_counted_too_high():
    here, there, _ = workers_on(memory_for())
    for number in range(10_000):
        there.add(f"2001:db8::{number:x}")

    wrong = Counter(here.of(f"192.0.{number >> 8}.{number & 255}") for number in range(10_000))

    assert wrong[0] >= 9_980
    assert set(wrong) <= {0, 1}


def test_who_shares_cells_with_whom_depends_on_a_secret():
    def taken_for_others(secret: bytes) -> set[str]:
        here, there, _ = workers_on(memory_for(columns=64), 64, secret)
        for number in range(64):
            there.add(f"2001:db8::{number:x}")
        return {address for address in map(str, range(1000)) if here.of(address)}

    assert taken_for_others(SECRET) != taken_for_others(b"another secret, as long")


@given(st.text(max_size=20))
@example("\ud800")
def test_no_name_upsets_it(name):
    here, there, _ = workers_on(memory_for())
    there.add(name)

    assert here.of(name) == bool(name)
    there.remove(name)
    assert here.total() == here.of(name) == 0
