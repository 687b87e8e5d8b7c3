"""Reads the files that people wrote, to tell what is wrong with them before anything is built."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from gateway.app.certificate import BadCertificate
from gateway.app.certificate import read as read_certificate
from gateway.app.dialling import upstream_tls
from gateway.app.login import users_in_file
from gateway.app.verifying import keys_in_file
from gateway.config.values import Config, Htpasswd, UsersFile
from gateway.identity.watched_file import BadFile
from gateway.tokens.foreign import BadKeySet


def unusable_files(config: Config) -> Iterator[str]:
    """Tell of each file that *config* names what makes a start fail. Makes nothing, asks nobody."""
    for read in _reading(config):
        try:
            read()
        except (BadCertificate, BadFile, BadKeySet) as error:
            yield str(error)
        except OSError as error:
            yield f"{error.filename}: {error.strerror}"


def _reading(config: Config) -> Iterator[Callable[[], object]]:
    if config.tls is not None:
        yield partial(read_certificate, config.tls)
    for upstream in config.upstreams.values():
        yield partial(upstream_tls, upstream)
    for source in config.login:
        if isinstance(source, UsersFile | Htpasswd):
            yield partial(users_in_file, source, time.time)
    for accepted in config.tokens.accept:
        if "://" not in accepted.jwks:
            yield partial(keys_in_file, accepted)
