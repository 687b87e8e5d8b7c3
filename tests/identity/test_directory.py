"""All places where users are known, as one login provider: O12, S7."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import bcrypt
import pytest

from gateway.identity.decoys import sample
from gateway.identity.directory import Directory, RegistrationClosed
from gateway.identity.password_hashes import Cost, make
from gateway.identity.passwords import Busy, Passwords
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginRefused, ProviderUnavailable
from gateway.identity.registration import Unfit
from gateway.identity.users import User, UsernameTaken
from tests.fakes import FakeProvider

CHEAP = Cost(memory_kib=8, passes=1)
OLD = Cost(memory_kib=8, passes=1)
NEW = Cost(memory_kib=16, passes=2)


class CountingPasswords(Passwords):
    """Real hashing that remembers the parameters of each hash it was given to check."""

    def __init__(self, cost: Cost = CHEAP) -> None:
        super().__init__(threads=1, cost=cost)
        self.checked: list[str] = []
        self.busy = False

    async def verify(self, password_hash: str, password: str) -> bool:
        if self.busy:
            raise Busy
        self.checked.append(password_hash)
        return await super().verify(password_hash, password)

    def costs(self) -> list[str]:
        return [checked.rpartition("$")[0].rpartition("$")[0] for checked in self.checked]


@dataclass
class Source:
    """Users in memory, with every side of the contract."""

    users: dict[str, User]
    decoy_hashes: Sequence[str] = ()
    available: bool = True
    asked: list[str] = field(default_factory=list)

    async def find(self, username: str) -> User | None:
        self.asked.append(username)
        if not self.available:
            raise ProviderUnavailable
        return self.users.get(username)

    def decoys(self) -> Sequence[str]:
        return self.decoy_hashes

    async def add(self, user: User) -> None:
        if user.principal.subject in self.users:
            raise UsernameTaken
        self.users[user.principal.subject] = user

    async def rehash(self, username: str, before: str, after: str) -> None:
        user = await self.find(username)
        if user is not None and user.password_hash == before:
            self.users[username] = User(user.principal, after, user.disabled)


@pytest.fixture
def passwords():
    made = CountingPasswords()
    yield made
    made.close()


def user(name, password="correct horse", *, cost=CHEAP, disabled=False, **fields) -> User:
    return User(Principal(name, **fields), make(password.encode(), cost), disabled)


async def refused(directory, username, password="wrong horse") -> None:
    with pytest.raises(LoginRefused):
        await directory.authenticate(username, password)


async def test_a_user_is_who_the_source_says_and_the_source_is_named(passwords):
    alice = user("alice", email="a@example.com", groups=("admins",), claims={"level": 3})
    directory = Directory(passwords, {"file": Source({"alice": alice})})

    assert await directory.authenticate("alice", "correct horse") == Principal(
        "alice", "", "a@example.com", ("admins",), {"level": 3}, "file"
    )


@pytest.mark.parametrize("spelling", ["alice", "Alice", " ALICE ", "\uff21lice"])
async def test_o12_every_spelling_of_a_name_is_the_same_user(passwords, spelling):
    directory = Directory(passwords, {"file": Source({"alice": user("alice")})})

    assert (await directory.authenticate(spelling, "correct horse")).subject == "alice"


@pytest.mark.parametrize("name", ["alice", "disabled", "unknown", "not a name", "", "\ud800"])
async def test_o12_every_refusal_costs_one_check_of_the_same_cost(passwords, name):
    users = {"alice": user("alice"), "disabled": user("disabled", disabled=True)}
    directory = Directory(passwords, {"a": Source(users), "b": Source({})})

    await refused(directory, name)

    assert passwords.costs() == ["$argon2id$v=19$m=8,t=1,p=1"]


async def test_o12_a_disabled_user_with_the_right_password_looks_like_a_wrong_one(passwords):
    source = Source({"alice": user("alice", disabled=True)})
    directory = Directory(passwords, {"file": source})

    await refused(directory, "alice", "correct horse")

    assert len(passwords.checked) == 1


@pytest.mark.parametrize("name", ["alice", "unknown"])
async def test_o12_where_all_hashes_are_bcrypt_unknown_names_cost_bcrypt(passwords, name):
    hashed = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    source = Source({"alice": User(Principal("alice"), hashed)}, sample([hashed]))
    directory = Directory(passwords, {"htpasswd": source})

    await refused(directory, name)

    assert [checked[:7] for checked in passwords.checked] == ["$2b$04$"]


async def test_o12_an_unknown_name_costs_the_same_every_time_where_costs_differ(passwords):
    hashes = [bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode(), make(b"x", NEW)]
    directory = Directory(passwords, {"file": Source({}, sample(hashes))})

    for name in [f"name{n}" for n in range(20)]:
        passwords.checked.clear()
        for _ in range(3):
            await refused(directory, name)
        assert len(set(passwords.checked)) == 1


async def test_a_decoy_that_matched_would_still_admit_nobody(passwords):
    real = make(b"correct horse", CHEAP)
    directory = Directory(passwords, {"file": Source({}, [real])})

    await refused(directory, "unknown", "correct horse")


@pytest.mark.parametrize("name", ["first", "second", "unknown"])
async def test_o12_every_refusal_asks_every_source(passwords, name):
    a, b, c = Source({"first": user("first")}), Source({"second": user("second")}), Source({})
    directory = Directory(passwords, {"a": a, "b": b, "c": c})

    await refused(directory, name)

    assert [a.asked, b.asked, c.asked] == [[name]] * 3


@pytest.mark.parametrize("password", ["", "x" * 1025, "x" * 1_000_000, "\ud800"])
async def test_o12_impossible_passwords_are_refused_before_anything_is_done(passwords, password):
    source, ldap = Source({"alice": user("alice")}), FakeProvider({})
    directory = Directory(passwords, {"file": source}, {"ldap": ldap})

    await refused(directory, "alice", password)
    await refused(directory, "unknown", password)

    assert passwords.checked == []
    assert source.asked == []
    assert ldap.asked == []


async def test_a_password_of_a_thousand_characters_is_taken_whole(passwords):
    directory = Directory(passwords, {"file": Source({"alice": user("alice", "x" * 1000 + "1")})})

    assert await directory.authenticate("alice", "x" * 1000 + "1")
    await refused(directory, "alice", "x" * 1000 + "2")


async def test_the_first_source_that_knows_a_name_owns_it(passwords):
    first, second = (
        Source({"alice": user("alice", "one one one")}),
        Source({"alice": user("alice")}),
    )
    directory = Directory(passwords, {"first": first, "second": second})

    assert (await directory.authenticate("alice", "one one one")).provider == "first"
    await refused(directory, "alice", "correct horse")


async def test_a_source_that_is_down_hides_later_ones_but_not_earlier_ones(passwords):
    first, second = Source({"alice": user("alice")}), Source({"bob": user("bob")}, available=False)
    third = Source({"carol": user("carol")})
    directory = Directory(passwords, {"a": first, "b": second, "c": third})

    assert await directory.authenticate("alice", "correct horse")
    await refused(directory, "alice")
    for name in ["bob", "carol", "unknown"]:
        with pytest.raises(ProviderUnavailable):
            await directory.authenticate(name, "correct horse")


async def test_too_much_work_is_busy_for_known_and_unknown_alike(passwords):
    directory = Directory(passwords, {"file": Source({"alice": user("alice")})})
    passwords.busy = True

    for name in ["alice", "unknown"]:
        with pytest.raises(Busy):
            await directory.authenticate(name, "correct horse")


async def test_s7_current_tells_changes_and_who_is_gone(passwords):
    source = Source({"alice": user("alice", groups=("staff",))})
    directory = Directory(passwords, {"file": source})
    alice = await directory.authenticate("alice", "correct horse")

    source.users["alice"] = user("alice", groups=("admins",))
    assert (await directory.current(alice)).groups == ("admins",)
    assert (await directory.current(alice)).provider == "file"
    source.users["alice"] = user("alice", disabled=True)
    assert await directory.current(alice) is None
    source.users.clear()
    assert await directory.current(alice) is None
    source.available = False
    with pytest.raises(ProviderUnavailable):
        await directory.current(alice)


async def test_s7_current_asks_only_the_provider_that_vouched(passwords):
    a, b = Source({"alice": user("alice", groups=("a",))}), Source({"alice": user("alice")})
    ldap = FakeProvider({"carol": ("pw", Principal("carol"))})
    directory = Directory(passwords, {"a": a, "b": b}, {"ldap": ldap})
    a.users.clear()

    assert await directory.current(Principal("alice", provider="a")) is None
    assert await directory.current(Principal("carol", provider="ldap")) == Principal(
        "carol", provider="ldap"
    )
    ldap.disabled.add("carol")
    assert await directory.current(Principal("carol", provider="ldap")) is None


@pytest.mark.parametrize("provider", ["", "removed from the configuration"])
async def test_s7_nobody_is_current_whose_provider_is_gone(passwords, provider):
    directory = Directory(passwords, {"file": Source({"alice": user("alice")})})

    assert await directory.current(Principal("alice", provider=provider)) is None


async def test_an_old_hash_is_replaced_when_its_user_signs_in():
    passwords = CountingPasswords(NEW)
    source = Source({"alice": user("alice", cost=OLD)})
    directory = Directory(passwords, {"database": source})

    await refused(directory, "alice")
    assert "m=8,t=1" in source.users["alice"].password_hash
    await directory.authenticate("alice", "correct horse")
    replaced = source.users["alice"].password_hash
    await directory.authenticate("alice", "correct horse")

    assert "m=16,t=2" in replaced
    assert source.users["alice"].password_hash == replaced
    passwords.close()


async def test_a_sign_in_stands_though_its_hash_cannot_be_replaced():
    class Frozen(Source):
        async def rehash(self, *_: str) -> None:
            raise ProviderUnavailable

    passwords = CountingPasswords(NEW)
    directory = Directory(passwords, {"database": Frozen({"alice": user("alice", cost=OLD)})})

    assert await directory.authenticate("alice", "correct horse")
    passwords.close()


async def test_providers_are_asked_for_names_that_no_source_knows(passwords):
    source = Source({"alice": user("alice")})
    ldap = FakeProvider({"bob": ("bobs password", Principal("bob", groups=("staff",)))})
    directory = Directory(passwords, {"file": source}, {"ldap": ldap})

    bob = await directory.authenticate("Bob", "bobs password")
    assert bob == Principal("bob", groups=("staff",), provider="ldap")
    await refused(directory, "bob")
    await refused(directory, "alice")

    assert ldap.asked == ["bob", "bob"]  # a source's user's password goes to nobody else
    assert len(passwords.checked) == 2  # one for each refusal


async def test_a_provider_that_is_down_is_no_refusal_unless_another_knows_the_person(passwords):
    down = FakeProvider({}, available=False)
    other = FakeProvider({"bob": ("bobs password", Principal("bob"))})
    directory = Directory(passwords, {}, {"down": down, "other": other})

    assert (await directory.authenticate("bob", "bobs password")).provider == "other"
    with pytest.raises(ProviderUnavailable):
        await directory.authenticate("carol", "any")


async def test_no_provider_can_vouch_for_a_user_of_a_source(passwords):
    source = Source({"alice": user("alice", groups=("admins",))})
    ldap = FakeProvider({"a.liddell": ("pw", Principal("alice"))})
    directory = Directory(passwords, {"file": source}, {"ldap": ldap})

    await refused(directory, "a.liddell", "pw")


def test_two_providers_cannot_have_one_name(passwords):
    with pytest.raises(ValueError, match="'x'"):
        Directory(passwords, {"x": Source({})}, {"x": FakeProvider({})})


async def test_who_registers_can_sign_in_at_once(passwords):
    database = Source({})
    directory = Directory(passwords, {"database": database}, registrar=("database", database))
    assert directory.registers

    registered = await directory.register("Zoë", "correct horse", "zoe@example.com")

    assert registered == Principal("zoë", email="zoe@example.com", provider="database")
    assert await directory.authenticate("zoë", "correct horse") == registered


async def test_names_taken_anywhere_in_any_spelling_cannot_be_registered(passwords):
    database, file = (
        Source({"carol": user("carol", disabled=True)}),
        Source({"alice": user("alice")}),
    )
    ldap = FakeProvider({"bob": ("pw", Principal("bob"))})
    directory = Directory(
        passwords, {"file": file, "db": database}, {"ldap": ldap}, registrar=("db", database)
    )

    for name in ["alice", "ALICE", "bob", "Carol"]:
        with pytest.raises(UsernameTaken):
            await directory.register(name, "correct horse")
    assert list(database.users) == ["carol"]


async def test_nobody_registers_while_a_place_cannot_be_asked(passwords):
    database, file = Source({}), Source({}, available=False)
    ldap = FakeProvider({}, available=False)
    one = Directory(passwords, {"f": file, "db": database}, registrar=("db", database))
    other = Directory(passwords, {"db": database}, {"ldap": ldap}, registrar=("db", database))

    for directory in [one, other]:
        with pytest.raises(ProviderUnavailable):
            await directory.register("alice", "correct horse")
    assert database.users == {}


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (("a b", "correct horse", ""), "username"),
        (("alice", "short", ""), "password"),
        (("alice", "x1" * 600, ""), "password"),
        (("alice.l", "ALICE.L", ""), "password"),
        (("alice", "correct horse", "nowhere"), "email"),
    ],
)
async def test_unfit_registrations_say_which_field(passwords, registration, field):
    database = Source({})
    directory = Directory(passwords, {"db": database}, registrar=("db", database))

    with pytest.raises(Unfit) as unfit:
        await directory.register(*registration)
    assert unfit.value.field == field


async def test_without_a_place_for_new_users_registration_is_closed(passwords):
    directory = Directory(passwords, {"file": Source({})})

    assert not directory.registers
    with pytest.raises(RegistrationClosed):
        await directory.register("alice", "correct horse")


def test_registration_needs_providers_that_can_tell_whose_names_are_taken(passwords):
    class Silent:
        async def authenticate(self, *_: str) -> Principal:
            raise LoginRefused

        async def current(self, principal: Principal) -> Principal | None:
            return principal

    database = Source({})
    with pytest.raises(ValueError, match="'app'"):
        Directory(passwords, {"db": database}, {"app": Silent()}, registrar=("db", database))
