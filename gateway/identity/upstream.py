"""The app's own login decides: the credentials go to its login URL, and the answer's status counts.

Redirects are never followed and cookies never kept: the app's answer is an opinion about one
password, not a session of ours. What is neither a clear yes nor a clear no is *unavailable*.
"""

from collections.abc import Container
from http import HTTPStatus
from secrets import token_hex
from typing import Literal
from urllib.parse import urljoin, urlsplit

import aiohttp

from gateway.identity.principal import Principal
from gateway.identity.provider import LoginRefused, ProviderUnavailable

# A program's login answers 2xx. A form's login sends the browser on; 200 is the form once more.
_SUCCESS = {"json": range(200, 300), "form": (302, 303)}
# The request itself was not understood, or not now: nothing was said about the credentials.
_NO_ANSWER = {
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_CONNECTIONS = 32


class UpstreamLogin:
    """A login provider. It cannot tell whether a person is still welcome, so they stay until the
    session ends; nor whose names are taken, so nobody can register beside it.
    """

    def __init__(
        self,
        url: str,
        *,
        send: Literal["form", "json"] = "form",
        fields: tuple[str, str] = ("username", "password"),
        success: Container[int] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._url = url
        self._send = send
        self._fields = fields
        self._success = _SUCCESS[send] if success is None else success
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._proven = False

    async def authenticate(self, username: str, password: str) -> Principal:
        """Ask the app. The name is sent, and known, in its canonical spelling.

        Were it sent as typed, an app that tells Bob from bob would vouch for either as one person.
        """
        if not self._proven:
            await self._prove()
        if not await self._accepts(username, password):
            raise LoginRefused
        return Principal(username)

    async def current(self, principal: Principal) -> Principal | None:
        return principal

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _prove(self) -> None:
        """See it refuse somebody who cannot exist, once, before any yes of it counts.

        A wrong URL, or an app that sends whoever is not signed in elsewhere, answers every password
        with what looks like a success, and would let in everybody.
        """
        if await self._accepts(f"gateway-check-{token_hex(8)}", token_hex(16)):
            raise ProviderUnavailable(f"{self._url} accepts any password: is this the login URL?")
        self._proven = True

    async def _accepts(self, username: str, password: str) -> bool:
        try:
            status, location = await self._post(username, password)
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise ProviderUnavailable("the app's login does not answer") from failure
        if status in self._success:
            return not self._leads_back(location)
        if not self._says_no(status):
            raise ProviderUnavailable(f"the app's login answered {status}")
        return False

    async def _post(self, username: str, password: str) -> tuple[int, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                trust_env=False,
            )
        body = dict(zip(self._fields, (username, password), strict=True))
        async with self._session.post(
            self._url,
            json=body if self._send == "json" else None,
            data=body if self._send == "form" else None,
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers.get("Location", "")

    def _leads_back(self, location: str) -> bool:
        """Some apps redirect a wrong password to their login page again (/login?error)."""
        if not location:
            return False
        try:
            target = urlsplit(urljoin(self._url, location))
        except ValueError:
            return True
        return target.path.rstrip("/") == urlsplit(self._url).path.rstrip("/")

    def _says_no(self, status: int) -> bool:
        if self._send == "form" and status == HTTPStatus.OK:
            return True
        client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        return client_error and status not in _NO_ANSWER
