"""Drives a target for a while: guided by coverage where atheris is installed, blindly elsewhere.

A hang and growing memory are findings as well as an exception; each leaves its input in a file.
"""

import hashlib
import importlib.util
import logging
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import WORDS, Target

HANG_SECONDS = 10
MOST_MEMORY_MB = 2048
# Starting, instrumenting and running the corpus takes a while before the time begins to count.
_START_SECONDS = 120
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What one target did. *told* is why it failed, for people."""

    target: str
    executions: int
    added: int
    memory_mb: int
    failed: bool
    told: str = ""

    def line(self) -> str:
        verdict = "FINDING" if self.failed else "holds"
        return (
            f"{self.target:18} {verdict:7}  {self.executions:9,} executions, "
            f"{self.added} new inputs, {self.memory_mb} MB"
        )


def guided_is_there() -> bool:
    """Whether atheris can be had on this machine."""
    return importlib.util.find_spec("atheris") is not None


def grow(target: Target, seconds: int, seed: int, grown: Path, found: Path) -> Run:
    """Fuzz *target*, keeping what reaches new code in *grown* and findings in *found*."""
    grown.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    options = (
        f"-max_total_time={seconds}",
        f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={MOST_MEMORY_MB}",
        f"-max_len={target.longest}",
        f"-dict={WORDS}",
        f"-seed={seed}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    )
    done = _guided(target, [grown, target.corpus], options, seconds + _START_SECONDS)
    number = {name: int(value) for name, value in re.findall(r"stat::(\w+):\s+(\d+)", done.stdout)}
    return Run(
        target.name,
        number.get("number_of_executed_units", 0),
        number.get("new_units_added", 0),
        number.get("peak_rss_mb", 0),
        failed=done.returncode != 0,
        told=_told(done.stdout) if done.returncode else "",
    )


def minimise(target: Target, grown: Path) -> tuple[int, int]:
    """Let the corpus be what is named by hand in it, and the least that reaches the rest."""
    before = list(target.corpus.iterdir())
    with tempfile.TemporaryDirectory(prefix="gateway-fuzz-") as folder:
        merged = Path(folder)
        by_hand = [path for path in before if not _made_up(path)]
        for path in by_hand:
            shutil.copy(path, merged)
        places = [merged, target.corpus, *([grown] if grown.is_dir() else [])]
        _guided(target, places, ("-merge=1",), 600).check_returncode()
        for path in before:
            if _made_up(path):
                path.unlink()
        for path in merged.iterdir():
            shutil.copy(path, target.corpus)
    return len(before), len(list(target.corpus.iterdir()))


def unguided(target: Target, seconds: int, seed: int, grown: Path, found: Path) -> Run:
    """The same without guidance: inputs of the corpus, cut, joined and spoilt at random."""
    del grown
    with _unlogged():
        return _blindly(target, seconds, seed, found)


@contextmanager
def _unlogged() -> Iterator[None]:
    """What the gateway logs of each input is no news; what it logs afterwards is."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _blindly(target: Target, seconds: int, seed: int, found: Path) -> Run:
    rng = random.Random(seed or None)
    inputs = [path.read_bytes() for path in sorted(target.corpus.glob("*"))] or [b""]
    words = [_unquoted(word) for word in re.findall(r'^"(.*)"$', WORDS.read_text(), re.MULTILINE)]
    until = time.monotonic() + seconds
    executions, told = 0, ""
    while not told and time.monotonic() < until:
        data = _spoilt(rng, inputs, words)[: target.longest]
        executions += 1
        began = time.monotonic()
        try:
            target.run(data)
        except Exception:  # noqa: BLE001 - any exception is a finding
            told = traceback.format_exc()
        if time.monotonic() - began > HANG_SECONDS:
            told = f"took longer than {HANG_SECONDS} s"
        if told:
            found.mkdir(parents=True, exist_ok=True)
            place = found / f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"
            place.write_bytes(data)
            told += f"\nkept as {place}"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Run(target.name, executions, 0, memory, failed=bool(told), told=told)


def _guided(
    target: Target, folders: list[Path], options: tuple[str, ...], seconds: float
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, *map(str, folders), *options]
    return subprocess.run(
        command,
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def _told(output: str) -> str:
    """The part of libFuzzer's output that people want: what went wrong, and where it is kept."""
    traceback_of_it = re.search(r"=== Uncaught.*?(?=\n\n|\n==\d)", output, re.DOTALL)
    kept = re.search(r"Test unit written to (\S+)", output)
    lines = [traceback_of_it[0] if traceback_of_it else output[-3000:]]
    if kept:
        lines.append(f"kept as {kept[1]}; again: python -m tests.fuzz --replay {kept[1]}")
    return "\n".join(lines)


def _made_up(path: Path) -> bool:
    """Whether the file's name is the hash that libFuzzer gives, and nobody's word."""
    return re.fullmatch(r"[0-9a-f]{40}", path.name) is not None


def _unquoted(word: str) -> bytes:
    return word.encode().decode("unicode_escape").encode("latin-1")


def _spoilt(rng: random.Random, inputs: list[bytes], words: list[bytes]) -> bytes:
    data = bytearray(rng.choice(inputs))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(words)
            case 1:
                del data[at : at + rng.randrange(1, 9)]
            case 2:
                data[at : at + 1] = bytes((rng.randrange(256),))
            case 3:
                other = rng.choice(inputs)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                data[at:at] = data[rng.randrange(len(data) + 1) :][: rng.randrange(1, 64)]
    return bytes(data)
