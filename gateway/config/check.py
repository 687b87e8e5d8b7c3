"""Rules over several keys: what contradicts itself or would weaken security does not start."""

from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.config.check_names import (
    cookie_names,
    header_names,
    own_port,
    prefix,
    proxies_in_front,
    public_names,
)
from gateway.config.check_routes import route_table, upstream_names
from gateway.config.check_sign_in import lifetimes, providers, signing_keys, stores
from gateway.config.complaints import Checked
from gateway.config.document import Mapping, Node, Scalar, Sequence
from gateway.config.finding import Finding, Subject
from gateway.config.known_keys import Path as KeyPath
from gateway.config.units import quoted
from gateway.config.unsupported import NOT_YET_SUPPORTED

Rule = Callable[[Subject], Iterator[Finding]]


def findings(result: Checked, root: Mapping, folder: Path) -> list[Finding]:
    """Return what every rule has to say."""
    subject = Subject(result, root)
    found = [finding for rule in _RULES for finding in rule(subject)]
    return [*found, *_missing_files(subject, folder)]


def named_files(result: Checked, root: Mapping, folder: Path) -> frozenset[str]:
    """Return the files that are named, whether they are there or not."""
    names = _files_of_people(Subject(result, root))
    return frozenset(str(folder.absolute() / name) for _, name in names)


def _not_yet_supported(subject: Subject) -> Iterator[Finding]:
    for path, node in _nodes(subject.root, ()):
        text = node.value if isinstance(node, Scalar) else None
        if isinstance(node, Scalar) and text is None:
            continue
        for refused in NOT_YET_SUPPORTED:
            if refused.covers(path, text):
                yield from subject.error(path, refused.message)


def _nodes(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    yield path, node
    match node:
        case Mapping():
            for name, entry in node.entries.items():
                yield from _nodes(entry.node, (*path, name))
        case Sequence():
            for at, item in enumerate(node.items):
                yield from _nodes(item, (*path, at))
        case Scalar():
            pass


def _missing_files(subject: Subject, folder: Path) -> Iterator[Finding]:
    """What is there at start may still change later; what is not there is a spelling mistake."""
    for path, name in _files_of_people(subject):
        if not (folder / name).is_file():
            where = quoted(str((folder / name).absolute()), longest=200)
            yield from subject.error(path, f"there is no file {where}")


def _files_of_people(subject: Subject) -> Iterator[tuple[KeyPath, str]]:
    file = subject.file
    if file.tls is not None:
        yield ("tls", "certificate"), file.tls.certificate
        yield ("tls", "key"), file.tls.key
    for name, upstream in file.upstreams.items():
        for part in ("ca", "certificate", "key"):
            if (text := getattr(upstream, part)) is not None:
                yield ("upstreams", name, part), text
    for at, item in subject.items("login", file.login):
        for part in ("users", "htpasswd"):
            if (text := getattr(item, part)) is not None:
                yield ("login", at, part), text
    for at, accepted in subject.items("tokens.accept", file.tokens.accept):
        if "://" not in accepted.jwks:
            yield ("tokens", "accept", at, "jwks"), accepted.jwks


_RULES: tuple[Rule, ...] = (
    _not_yet_supported,
    public_names,
    proxies_in_front,
    own_port,
    prefix,
    cookie_names,
    header_names,
    upstream_names,
    route_table,
    providers,
    signing_keys,
    lifetimes,
    stores,
)
