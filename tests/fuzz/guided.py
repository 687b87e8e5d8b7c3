"""Runs one target under atheris: `python -m tests.fuzz.guided TARGET FOLDER… -option=…`.

A process of its own, since libFuzzer ends the one that it runs in.
"""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    # What the gateway logs of each input is no news.
    logging.disable(logging.CRITICAL)
    _, name, *arguments = sys.argv
    # libFuzzer merges in processes of its own, which a shell starts by the first argument.
    again = f"{sys.executable} -m tests.fuzz.guided {name}"
    atheris.Setup([again, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
