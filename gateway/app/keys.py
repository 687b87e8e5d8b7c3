"""The gateway's keys: from a folder that is watched, or from configured secrets."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.config.values import Tokens
from gateway.sessions.refresh_token import Secrets
from gateway.tokens.key_folder import KeyFolder, KeyFolderError
from gateway.tokens.keys import KeySet
from gateway.tokens.shared_secrets import secret_keys

_log = logging.getLogger("gateway.keys")

_LOOK_SECONDS = 2.0


class Keys:
    """What signs and verifies now; `watch` keeps it true while the gateway runs."""

    def __init__(self, tokens: Tokens, now: Callable[[], float]) -> None:
        """Read or make the keys. Raises KeyFolderError or UnfitKey."""
        self._now = now
        self._folder: KeyFolder | None = None
        if tokens.key_folder is not None:
            self._folder = KeyFolder.open(Path(tokens.key_folder), tokens.algorithm, now())
            self.current: Callable[[], KeySet] = self._folder.current
        else:
            fixed = secret_keys([secret.reveal() for secret in tokens.secrets])
            self.current = lambda: fixed

    def refresh_secrets(self) -> Secrets:
        return self.current().refresh_secrets(self._now())

    def age(self) -> float | None:
        """Return for how many seconds the key that signs has been there; secrets have no age."""
        if self._folder is None:
            return None
        now = self._now()
        return now - self._folder.current().signing(now).created

    async def watch(self, changed: Callable[[], None]) -> None:
        """Look at the folder for ever; *changed* hears of new keys, the log of bad ones."""
        while self._folder is not None:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if self._folder.reload_if_changed():
                    changed()
            except KeyFolderError as error:
                _log.error("%s; the keys that were read before stay in use", error)
