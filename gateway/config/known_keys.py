"""Every key that the file may have, and which one a misspelled key is meant for."""

import difflib
from collections.abc import Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel

from gateway.config.model import File

Path: TypeAlias = tuple[str | int, ...]
# Fields that no file spells out: one-word forms are read into them.
IMPLIED = frozenset({"any_of", "word", "folder", "secrets"})


def unknown_key(path: Path) -> tuple[str, str]:
    """Say what is meant, most likely, by a key that does not exist; and which key beside it."""
    name, section = str(path[-1]), _section(path[:-1])
    own = [field_name for field_name in section.model_fields if field_name not in IMPLIED]
    near = difflib.get_close_matches(name, own, n=1, cutoff=0.8)
    elsewhere = [where for where, known in known_keys() if known == name]
    if elsewhere and not near:
        return f"unknown key here; {name} belongs to {' or '.join(elsewhere)}", ""
    if near := near or difflib.get_close_matches(name, own, n=1):
        return f"unknown key; did you mean {near[0]}?", near[0]
    far = difflib.get_close_matches(name, [known for _, known in known_keys()], n=1, cutoff=0.75)
    if far:
        where = next(where for where, known in known_keys() if known == far[0])
        return f"unknown key; did you mean {far[0]} of {where}?", ""
    return f"unknown key; known here: {', '.join(own)}", ""


def known_keys() -> Iterator[tuple[str, str]]:
    """Yield every key with the section that holds it, as users write it."""
    yield from _keys(File, "")


def _keys(model: type[BaseModel], path: str) -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        if name not in IMPLIED:
            yield path or "the top level", name
        for inner in _models(info.annotation):
            many = "[]" if "tuple" in str(info.annotation) else ""
            many = ".NAME" if "dict" in str(info.annotation) else many
            below = path if name in IMPLIED else f"{path}.{name}{many}".lstrip(".")
            yield from _keys(inner, below)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _section(path: Path) -> type[BaseModel]:
    """Return the model of the section at *path*."""
    model: type[BaseModel] = File
    for part in path:
        model = next(iter(_inner(model, str(part))), model)
    while implied := [name for name in model.model_fields if name in IMPLIED]:
        deeper = [m for name in implied for m in _models(model.model_fields[name].annotation)]
        if not deeper:
            break
        model = deeper[0]
    return model


def _inner(model: type[BaseModel], part: str) -> Iterator[type[BaseModel]]:
    if part in model.model_fields:
        yield from _models(model.model_fields[part].annotation)
