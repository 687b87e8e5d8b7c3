"""All places where users are known, as one login provider.

One refusal is like another: unknown, wrong and disabled cost one hash each, and ask the same
sources. Nothing tells the caller which it was.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.identity.decoys import choose
from gateway.identity.password_hashes import secret
from gateway.identity.passwords import Passwords
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginProvider, LoginRefused, ProviderUnavailable
from gateway.identity.registration import fit_email, fit_password, fit_username
from gateway.identity.usernames import UnfitUsername, canonical, fold
from gateway.identity.users import (
    HoldsNames,
    Registrar,
    RehashingSource,
    User,
    UsernameTaken,
    UserSource,
)


class RegistrationClosed(Exception):
    """Nobody can register here."""


class Directory:
    """Asks the sources in order, then the providers. The first source that knows a name owns it.

    Sources and providers are named; a principal's `provider` is that name, and a renewal asks there
    again. A source that cannot be asked hides those after it: whose name it is, is not known then.
    """

    def __init__(
        self,
        passwords: Passwords,
        sources: Mapping[str, UserSource],
        providers: Mapping[str, LoginProvider] | None = None,
        *,
        registrar: tuple[str, Registrar] | None = None,
    ) -> None:
        self._passwords = passwords
        self._sources = dict(sources)
        self._providers = dict(providers or {})
        self._registrar = registrar
        if both := self._sources.keys() & self._providers.keys():
            raise ValueError(f"two login providers are named {min(both)!r}")
        silent = [n for n, p in self._providers.items() if not isinstance(p, HoldsNames)]
        if registrar and silent:
            # Whoever registers the name of one of its users would become that user.
            raise ValueError(
                f"registration is impossible beside {silent[0]!r}, which cannot tell whose names"
                " are taken"
            )

    async def authenticate(self, username: str, password: str) -> Principal:
        """Return who this is. Raises LoginRefused or ProviderUnavailable (Busy among them)."""
        if secret(password) is None:
            raise LoginRefused
        try:
            name = canonical(username)
        except UnfitUsername:
            await self._pretend(fold(username), password)
            raise LoginRefused from None
        found = await self._find(name)
        if found is not None:
            return await self._check(*found, password)
        principal = await self._ask_providers(name, password)
        if principal is None:
            await self._pretend(name, password)
            raise LoginRefused
        return principal

    async def current(self, principal: Principal) -> Principal | None:
        """Return the person as known now, None once gone or disabled, or the provider is."""
        name = principal.provider
        if (source := self._sources.get(name)) is not None:
            user = await source.find(principal.subject)
            return None if user is None or user.disabled else _vouched(user.principal, name)
        if (provider := self._providers.get(name)) is not None:
            person = await provider.current(principal)
            return None if person is None else _vouched(person, name)
        return None

    @property
    def registers(self) -> bool:
        """Tell whether people can register."""
        return self._registrar is not None

    async def register(self, username: str, password: str, email: str = "") -> Principal:
        """Keep a new user.

        Raises RegistrationClosed, Unfit, UsernameTaken or ProviderUnavailable.
        """
        if self._registrar is None:
            raise RegistrationClosed
        name = fit_username(username)
        address = fit_email(email)
        fit_password(password, name, address)
        if await self._taken(name):
            raise UsernameTaken(name)
        provider, registrar = self._registrar
        principal = Principal(subject=name, email=address)
        await registrar.add(User(principal, await self._passwords.hash(password)))
        return _vouched(principal, provider)

    async def _find(self, name: str) -> tuple[str, User] | None:
        for provider, source in self._sources.items():
            user = await source.find(name)
            if user is not None:
                return provider, user
        return None

    async def _check(self, provider: str, user: User, password: str) -> Principal:
        right = await self._passwords.verify(user.password_hash, password)
        if not right or user.disabled:
            await self._look_further(provider, user.principal.subject)
            raise LoginRefused
        await self._strengthen(provider, user, password)
        return _vouched(user.principal, provider)

    async def _look_further(self, provider: str, name: str) -> None:
        """Ask the sources after this one as well: a shorter way would show that the name exists."""
        names = list(self._sources)
        for later in names[names.index(provider) + 1 :]:
            try:
                await self._sources[later].find(name)
            except ProviderUnavailable:
                return

    async def _strengthen(self, provider: str, user: User, password: str) -> None:
        source = self._sources[provider]
        if not isinstance(source, RehashingSource):
            return
        if not self._passwords.outdated(user.password_hash):
            return
        try:
            stronger = await self._passwords.hash(password)
            await source.rehash(user.principal.subject, user.password_hash, stronger)
        except ProviderUnavailable:
            return  # the sign-in stands; the next one tries again

    async def _ask_providers(self, name: str, password: str) -> Principal | None:
        unavailable: ProviderUnavailable | None = None
        for provider, asked in self._providers.items():
            try:
                principal = await asked.authenticate(name, password)
            except LoginRefused:
                continue
            except ProviderUnavailable as failure:
                unavailable = failure
                continue
            # It may know the person by another name than was typed; a source's user it never is.
            if principal.subject != name and await self._find(principal.subject) is not None:
                continue
            return _vouched(principal, provider)
        if unavailable is not None:
            raise unavailable
        return None

    async def _pretend(self, name: str, password: str) -> None:
        """Work as if somebody had this name."""
        decoys = [decoy for source in self._sources.values() for decoy in self._costs(source)]
        await self._passwords.verify(choose(decoys or [self._passwords.decoy()], name), password)

    def _costs(self, source: UserSource) -> list[str]:
        return list(source.decoys()) or [self._passwords.decoy()]

    async def _taken(self, name: str) -> bool:
        if await self._find(name) is not None:
            return True
        for provider in self._providers.values():
            if isinstance(provider, HoldsNames) and await provider.holds(name):
                return True
        return False


def _vouched(principal: Principal, provider: str) -> Principal:
    return replace(principal, provider=provider)
