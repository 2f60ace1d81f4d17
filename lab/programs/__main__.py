"""Build, once and for all, the programs that the tests run: `python -m lab.programs`."""

from __future__ import annotations

import sys

from lab import programs


def main() -> int:
    wanted = (
        *(programs.ETCD, programs.KUBE_APISERVER, programs.CSI_SANITY),
        *(programs.CSI_PROVISIONER, programs.CSI_ATTACHER, programs.HELM),
    )
    try:
        for program in wanted:
            programs.built(program, print)
    except programs.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
