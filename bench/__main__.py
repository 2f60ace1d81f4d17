"""`python -m bench`: everything, or what is named: create, startup, stage."""

from __future__ import annotations

import sys

from bench import create, stage, startup
from bench.table import HEAD

_ALL = {"create": create, "startup": startup, "stage": stage}


def main() -> int:
    wanted = sys.argv[1:] or list(_ALL)
    if unknown := [name for name in wanted if name not in _ALL]:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(_ALL)}", file=sys.stderr)
        return 2
    print(HEAD)
    for name in wanted:
        for figure in _ALL[name].figures():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
