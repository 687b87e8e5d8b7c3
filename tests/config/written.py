"""Configuration files as tests write them."""

from pathlib import Path

from gateway.config.load import load
from gateway.config.problem import ConfigErrors
from gateway.config.values import Config

SMALLEST = """\
upstreams:
  app: http://127.0.0.1:3000
routes:
  - path: /*
    upstream: app
login:
  - users: users.yaml
"""


def written(folder: Path, text: str) -> Path:
    """Write the file, and a users file beside it."""
    (folder / "users.yaml").write_text("users: {}\n")
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    return load(written(folder, text), environ or {})


def complaints(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the problems of a file as lines, without the name of its folder."""
    try:
        loaded(folder, text, environ)
    except ConfigErrors as errors:
        return [str(problem).replace(f"{folder}/", "") for problem in errors.problems]
    return []


def warnings(folder: Path, text: str) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in loaded(folder, text).warnings]
