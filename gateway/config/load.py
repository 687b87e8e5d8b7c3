"""Read, fill in, lay over, check: one call gives the configuration or everything wrong with it."""

from collections.abc import Mapping as ReadOnly
from dataclasses import replace
from pathlib import Path

from gateway.config import check, layers, resolve
from gateway.config.complaints import checked
from gateway.config.document import Mapping, Node, Scalar, Sequence, Unreadable, parse
from gateway.config.expansion import Expansion
from gateway.config.known_keys import Path as KeyPath
from gateway.config.problem import ConfigErrors, Place, Problem, problem_at
from gateway.config.values import Config

MAX_FILE_BYTES = 1024 * 1024


def load(
    path: str | Path | None,
    environ: ReadOnly[str, str],
    overrides: ReadOnly[str, object] | None = None,
) -> Config:
    """Return the checked configuration. Raises ConfigErrors with every problem found.

    Without *path* the environment and *overrides* alone count. Keys of *overrides* may be dotted
    (`tokens.access_lifetime`) and their values nested as in the file.
    """
    place = Place(str(path) if path is not None else "configuration")
    folder = Path(path).parent if path is not None else Path()
    problems: list[Problem] = []
    expansion = Expansion(environ, folder)
    root: Node = Mapping({}, place)
    if path is not None:
        root = _document(read(Path(path), place), place, problems)
        root = expansion.node(root)
    root, wrong = layers.with_variables(root, layers.variables(environ, expansion.used))
    problems += expansion.problems + wrong
    root, wrong = layers.with_overrides(root, overrides or {})
    return _checked(root, folder, [*problems, *wrong], frozenset(expansion.files))


def read(path: Path, place: Place) -> str:
    """Return the text of the file. Raises ConfigErrors."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigErrors([problem_at(place, "", f"longer than {MAX_FILE_BYTES} bytes")])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigErrors([problem_at(place, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - (error.object[: error.start].rfind(b"\n") + 1) + 1
        at = Place(place.file, line, column)
        raise ConfigErrors([problem_at(at, "", "not UTF-8 text")]) from None


def _document(text: str, place: Place, problems: list[Problem]) -> Node:
    try:
        root, found = parse(text, place.file)
    except Unreadable as error:
        raise ConfigErrors([error.problem]) from None
    problems += found
    if root is None or (isinstance(root, Scalar) and root.value is None):
        message = "is empty; the smallest useful file has upstreams, routes and login"
        raise ConfigErrors([problem_at(place, "", message)])
    if not isinstance(root, Mapping):
        message = "must be a mapping: upstreams: …, routes: …, login: …"
        raise ConfigErrors([problem_at(root.place, "", message)])
    return root


def _checked(root: Node, folder: Path, problems: list[Problem], included: frozenset[str]) -> Config:
    assert isinstance(root, Mapping)  # noqa: S101 - _document and layers keep it one
    result = checked(root, frozenset(_broken(root, ())))
    found = check.findings(result, root, folder)
    problems += result.problems + [finding.problem for finding in found if not finding.warning]
    named = included | check.named_files(result, root, folder)
    if problems:
        raise ConfigErrors(sorted(set(problems), key=_reading_order), named)
    warnings = tuple(finding.problem for finding in found if finding.warning)
    config = resolve.config(result.file, folder)
    return replace(config, warnings=warnings, included=included, named=named)


def _broken(node: Node, path: KeyPath) -> list[KeyPath]:
    match node:
        case Scalar():
            return [path] if node.broken else []
        case Sequence():
            return [p for at, item in enumerate(node.items) for p in _broken(item, (*path, at))]
        case Mapping():
            return [p for key, e in node.entries.items() for p in _broken(e.node, (*path, key))]


def _reading_order(problem: Problem) -> tuple[bool, str, int, int, str]:
    return (
        problem.line is None,
        problem.file,
        problem.line or 0,
        problem.column or 0,
        problem.key,
    )
