"""Lets the driver's node code die at its n-th change of the VM it runs in, and tells what the next driver makes of it.

Reads what to do as JSON from standard input, and writes what was found as JSON: an object for each n.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle
from csi_solidfire.node import devices
from csi_solidfire.node.host import Host, LocalHost
from csi_solidfire.node.plugin import Plugin
from csi_solidfire.node.specs import Block, Filesystem, StageSpec
from tests.node.dying_host import Died, dying

_RECORDS = Path("/etc/iscsi/nodes")
_PLACES = ("/etc/iscsi", "/var/lib/iscsi", "/run", "/tmp")


class Trial:
    """One volume on the real host."""

    def __init__(self, order: dict[str, Any]) -> None:
        handle = VolumeHandle.parse(order["handle"])
        context = order["context"]
        chap = Chap.from_map(context, "context")
        assert chap is not None
        access = Block() if order["access"] == "block" else Filesystem(order["access"])
        target = PublishContext.from_map(context, handle)
        self.act: str = order["act"]
        self.used: bool = order["used"]
        self.abandoned: bool = order["abandoned"]
        self.spec = StageSpec(handle, order["staging"], access, read_only=False, target=target, chap=chap)
        self.file = Path(order["staging"]) / "kept"
        self.written = False

    def plugin(self, host: Host | None = None) -> Plugin:
        """Return a freshly started driver."""
        return Plugin(
            host=host or LocalHost(),
            hostname="node-1",
            driver_name="csi-solidfire.io",
            max_volumes=10,
            kubelet_dir=Path("/var/lib/kubelet"),
        )

    def call(self, plugin: Plugin) -> None:
        if self.act == "stage":
            plugin.stage(self.spec)
        else:
            plugin.unstage(self.spec.handle, self.spec.path)

    def prepare(self) -> None:
        """Begin with a volume that is blank or has a file on it, staged if it is to be unstaged."""
        if self.used and not self.written:
            self.plugin().stage(self.spec)
            self.file.write_text("kept")
            self.plugin().unstage(self.spec.handle, self.spec.path)
            self.written = True
        if self.act == "unstage":
            self.plugin().stage(self.spec)

    def run(self, nth: int) -> dict[str, Any]:
        """Cut a call short at its n-th change, call again unless nobody wants it any more, look; then take it off."""
        self.prepare()
        kept = self.kept() if self.act == "unstage" else True
        host, life = dying(LocalHost(), nth, done=True)
        with suppress(Died):
            self.call(self.plugin(host))
        exposed = exposed_files(self.spec.chap)
        if not self.abandoned:
            self.call(self.plugin())
        found = {"nth": nth, "lived": life.lived, "exposed": exposed, **self.look()}
        if self.act == "stage":
            kept = self.kept()
            self.take_off()
        return found | {"kept": kept, "left": self.look()}

    def kept(self) -> bool:
        """Tell whether the staged volume has its file, if it is to have one."""
        return not self.used or (self.file.exists() and self.file.read_text() == "kept")

    def take_off(self) -> None:
        """Unstage it; blank again, unless it has the file."""
        if isinstance(self.spec.access, Filesystem) and not self.used:
            host = LocalHost()
            disk = devices.disk_of(host, devices.sessions_of(host, self.spec.handle)[0])
            assert disk is not None
            subprocess.run(["umount", self.spec.path], check=True, timeout=60)
            subprocess.run(["blkdiscard", "-f", str(disk.path)], check=True, timeout=60)
        self.plugin().unstage(self.spec.handle, self.spec.path)

    def look(self) -> dict[str, Any]:
        """Count mounts and sessions, and say what is in the record."""
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.spec.path in line]
        sessions = devices.sessions_of(LocalHost(), self.spec.handle)
        records = list(_RECORDS.glob(f"{self.spec.target.iqn}/*/default"))
        secrets = [record for record in records if self.spec.chap.password in record.read_text()]
        files = sorted(path.name for path in Path(self.spec.path).iterdir()) if not mounts else []
        return {
            "mounts": len(mounts),
            "sessions": len(sessions),
            "records": len(records),
            "secrets": len(secrets),
            "files": files,
        }


def exposed_files(chap: Chap | None) -> list[str]:
    """Return the files that others than root may read and that hold a secret, or any that is no node record's."""
    assert chap is not None
    secrets = [chap.password.encode(), (chap.password_in or chap.password).encode()]
    found = []
    for file in (path for place in _PLACES for path in Path(place).rglob("*") if path.is_file()):
        if any(secret in file.read_bytes() for secret in secrets):
            private = all(path.stat().st_mode & 0o077 == 0 for path in (file, file.parent))
            found += [] if private and _RECORDS in file.parents else [str(file)]
    return found


def main() -> None:
    order = json.load(sys.stdin)
    trial = Trial(order)
    found: list[dict[str, Any]] = []
    for nth in range(order["first"], 60, order["step"]):
        found.append(trial.run(nth))
        if found[-1]["lived"]:
            break
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
