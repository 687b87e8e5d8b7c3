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
    program, name, *arguments = sys.argv
    atheris.Setup([program, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
