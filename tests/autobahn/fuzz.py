"""Runs the suite's fuzzing client, under Python 2.7. Arguments: its packages, its orders (JSON)."""

import json
import site
import sys


def main():
    packages, specification = sys.argv[1:]
    # Not PYTHONPATH: zope is spread over folders, which only a site's folder is read for.
    site.addsitedir(packages)
    from autobahntestsuite.fuzzing import startClient
    from twisted.internet import reactor

    with open(specification) as file:  # noqa: PTH123  # Python 2.7 has no Path
        startClient(json.load(file))
    reactor.run()


if __name__ == "__main__":
    main()
