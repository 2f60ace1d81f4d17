"""`python -m lab up | down`: an array and two nodes with the driver, left up to look around."""

from __future__ import annotations

import argparse
import sys

from lab.site import ADMIN, MVIP, SIP, SVIP, Site
from lab.vm import LabError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("action", choices=("up", "down"))
    action = parser.parse_args().action
    try:
        return _up() if action == "up" else _down()
    except LabError as error:
        print(f"The lab failed: {error}", file=sys.stderr)
        return 1


def _up() -> int:
    site = Site.attach()
    if site is None:
        site = Site.start(detached=True, say=lambda text: print(f"  ... {text}", flush=True))
    _show(site)
    site.close()
    return 0


def _down() -> int:
    site = Site.attach()
    if site is None:
        print("No lab is up.")
        return 0
    site.run.down()
    print("The lab is down; nothing of it is left but the cached image.")
    return 0


def _show(site: Site) -> None:
    secret = site.clusters / "lab"
    nodes = "\n".join(
        f"    {node.name:<8} python -m lab.vm shell {node.name:<8} CSI at 127.0.0.1:{node.machine.forwards[9000]},"
        f" metrics at http://127.0.0.1:{node.machine.forwards[9808]}/metrics"
        for node in site.nodes.values()
    )
    print(
        f"""
The lab is up. (Use the Python in .venv/bin.)

  The array: MVIP {MVIP}, SVIP {SVIP}, storage node {SIP}
    shell    python -m lab.vm shell array
    API      curl -s --cacert {secret}/caCert -u {ADMIN}:$(cat {secret}/password) \\
               {site.endpoint}/json-rpc/12.5 -d '{{"method":"ListActiveVolumes","params":{{}},"id":1}}'

  The nodes:
{nodes}
             their driver's log: journalctl -fu csi-solidfire

  The controller, on this machine:
    CSI      {site.controller_socket}
    log      {site.controller_log}

  make lab-down   ends it all
"""
    )


if __name__ == "__main__":
    sys.exit(main())
