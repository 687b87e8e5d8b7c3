"""When to read the configuration again: it changed, or a file did that kept it from being used."""

from collections.abc import Collection

from gateway.app.source import Changes, Source, fingerprint, named, read_once
from gateway.config.values import Config


class ConfigWatch:
    """Looks at the files of *source*, and at those that were read with it.

    After a refusal it looks at all that the refused configuration names. Whoever uses such a file
    watches it as well, but nobody uses what was refused.
    """

    def __init__(self, source: Source, config: Config) -> None:
        """*config* was read from *source*, and is in force."""
        self._source = source
        self._in_force = self._read = config
        self._named = named(config)
        self._changes = Changes(source.fingerprint(self._named))

    def read(self, config: Config) -> None:
        """Hear of *config*, which was read and is not built yet: its other files come next."""
        self._expect(named(config))
        self._read = config

    def unreadable(self, files: Collection[str]) -> None:
        """Hear of a configuration that names *files*, and that could not be read."""
        self._expect(frozenset(files))

    def in_force(self, config: Config) -> None:
        """Hear which configuration is in force now."""
        self._in_force = config

    def due(self, *, refused: bool) -> bool:
        """Look, and say whether to read again.

        *refused*: what was read last is not in force, and one of its files may be why.
        """
        files = self._always()
        return self._changes.look(
            self._source.fingerprint(files | self._named if refused else files)
        )

    def _always(self) -> frozenset[str]:
        return read_once(self._in_force) | read_once(self._read)

    def _expect(self, files: frozenset[str]) -> None:
        # From before they are read: what is mended meanwhile counts. What is always looked at may
        # have changed already, and that must be said.
        self._changes.know(fingerprint(files - self._source.files - self._always()))
        self._named = files
