"""The Autobahn test suite in a folder of its own, as it must be: it speaks Python 2.7 only."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements.txt"
FOLDER = _HERE.parents[1] / ".autobahn"
# The longest case waits ten seconds for a peer that says nothing.
_SECONDS_AT_MOST = 3600


@dataclass(frozen=True)
class Verdict:
    """What the suite says of one case, durations aside."""

    behavior: str
    on_close: str
    close_code: int | None


class NoPython27(Exception):
    """There is no Python 2.7 on this machine."""


@dataclass(frozen=True)
class Suite:
    """The suite, installed."""

    python: Path
    packages: Path

    async def run(
        self, url: str, cases: Sequence[str], excluded: Sequence[str], folder: Path
    ) -> dict[str, Verdict]:
        """Put the server at *url* through *cases* and return what it is told of each."""
        reports = folder / "reports"
        specification = folder / "specification.json"
        specification.write_text(
            json.dumps(
                {
                    "outdir": str(reports),
                    "servers": [{"agent": "peer", "url": url}],
                    "cases": list(cases),
                    "exclude-cases": list(excluded),
                    "exclude-agent-cases": {},
                }
            )
        )
        words = (str(self.packages), str(specification))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(str(self.python), "-W", "ignore", str(_HERE / "fuzz.py"), *words),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A bytecode file of another version beside ours would be nobody's.
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            )
            try:
                async with asyncio.timeout(_SECONDS_AT_MOST):
                    code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
        index = reports / "index.json"
        assert code == 0, (folder / "log").read_text()
        assert index.exists(), (folder / "log").read_text()
        return {
            case: Verdict(each["behavior"], each["behaviorClose"], each["remoteCloseCode"])
            for case, each in json.loads(index.read_text())["peer"].items()
        }


def installed(folder: Path = FOLDER) -> Suite:
    """Return the suite, fetched at first use. Raises NoPython27."""
    python = _python_27()
    folder.mkdir(exist_ok=True)
    packages, stamp = folder / "packages", folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _REQUIREMENTS.read_text()
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(packages, ignore_errors=True)
            subprocess.run(
                [
                    *(str(python), "-m", "pip", "install", "--quiet", "--no-deps"),
                    *("--target", str(packages), "--requirement", str(_REQUIREMENTS)),
                ],
                check=True,
                timeout=600,
                capture_output=True,
            )
            stamp.write_text(wanted)
    return Suite(python, packages)


def _python_27() -> Path:
    for candidate in _candidates():
        asked = subprocess.run(
            [str(candidate), "-c", "import pip, sys; print(sys.version_info[:2] == (2, 7))"],
            capture_output=True,
            check=False,
            timeout=30,
        )
        if asked.stdout.strip() == b"True":
            return candidate
    raise NoPython27("needs Python 2.7 with pip, as `python2.7` or from pyenv")


def _candidates() -> Iterator[Path]:
    found = shutil.which("python2.7")
    if found:
        yield Path(found)
    pyenv: Any = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    yield from sorted(Path(pyenv).glob("versions/2.7*/bin/python"))
