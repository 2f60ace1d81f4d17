"""open-iscsi's node records: a small file for each target and portal, here written without iscsiadm.

A key that is missing takes the value compiled into open-iscsi, not that of iscsid.conf (usr/idbm.c), so everything
that matters is written. Unknown keys are ignored, so this does for all versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from csi_solidfire.handles import Chap, PublishContext
from csi_solidfire.node.host import ISCSI_CONFIGURATION, UNFINISHED, Host, Kind

LOGIN_TIMEOUT = 15  # seconds for each try
_LOGIN_RETRIES = 2  # open-iscsi's 8 would use up all of kubelet's two minutes
_TPGT = 1  # Element has one portal group for each target
# Element takes SHA3-256 since 12.7 and MD5 before; the array picks the first that it knows.
_CHAP_ALGORITHMS = "SHA3-256,SHA256,SHA1,MD5"


@dataclass(frozen=True)
class Record:
    """What a node record is made of.

    Attributes:
        chap: None for a session that is up: nothing reads it there any more.
        scan: `manual` or `auto`.
    """

    target: PublishContext
    chap: Chap | None
    replacement_timeout: int
    scan: str

    def render(self) -> str:
        address, _, port = self.target.portal.rpartition(":")
        settings = {
            "node.name": self.target.iqn,
            "node.tpgt": _TPGT,
            "node.startup": "manual",  # a login at boot could bring back a volume that is another node's by then
            "node.leading_login": "No",
            "iface.iscsi_ifacename": "default",
            "iface.transport_name": "tcp",
            **self._auth(),
            "node.session.timeo.replacement_timeout": self.replacement_timeout,
            "node.session.initial_login_retry_max": _LOGIN_RETRIES,
            "node.session.scan": self.scan,
            "node.session.nr_sessions": 1,
            "node.session.err_timeo.abort_timeout": 15,
            "node.session.err_timeo.lu_reset_timeout": 30,
            "node.session.err_timeo.tgt_reset_timeout": 30,
            "node.conn[0].address": address.strip("[]"),
            "node.conn[0].port": port,
            "node.conn[0].startup": "manual",
            "node.conn[0].timeo.login_timeout": LOGIN_TIMEOUT,
            "node.conn[0].timeo.logout_timeout": 15,
            "node.conn[0].timeo.noop_out_interval": 5,
            "node.conn[0].timeo.noop_out_timeout": 5,
        }
        lines = [f"{key} = {value}" for key, value in settings.items()]
        return "\n".join(["# BEGIN RECORD 2.1.8", *lines, "# END RECORD", ""])

    def _auth(self) -> dict[str, str]:
        """Return all authentication fields; a field left out is none, and never one of an earlier record."""
        fields = {"node.session.auth.authmethod": "CHAP", "node.session.auth.chap_algs": _CHAP_ALGORITHMS}
        return fields | (self.chap.to_map() if self.chap else {})


def nodes_dir(host: Host, database: Path | None) -> Path:
    """Return the directory of all node records.

    Args:
        database: Where it is; None for this host's: /var/lib/iscsi (upstream's default, the Red Hat family) where
            that exists, else /etc/iscsi (Debian 12).
    """
    candidates = [database] if database else list(reversed(ISCSI_CONFIGURATION))
    with_nodes = [path for path in candidates if host.kind(path / "nodes") is Kind.DIRECTORY]
    existing = [path for path in candidates if host.kind(path) is Kind.DIRECTORY]
    return [*with_nodes, *existing, candidates[-1]][0] / "nodes"


def write(host: Host, nodes: Path, record: Record) -> None:
    """Put a record in place of the one there may be."""
    host.write_private(_path(nodes, record), record.render())


def is_there(host: Host, nodes: Path, record: Record) -> bool:
    """Tell whether exactly this record is there."""
    try:
        return host.read_text(_path(nodes, record)) == record.render()
    except FileNotFoundError:
        return False


def _path(nodes: Path, record: Record) -> Path:
    address, _, port = record.target.portal.rpartition(":")
    return nodes / record.target.iqn / f"{address.strip('[]')},{port},{_TPGT}" / "default"


def remove(host: Host, nodes: Path, iqn: str) -> None:
    """Remove all records of a target, whoever made them, and what a write cut short left."""
    target = nodes / iqn
    host.remove_file(target / UNFINISHED)
    for portal in host.list_dir(target):
        for name in host.list_dir(target / portal):
            host.remove_file(target / portal / name)
        if host.kind(target / portal) is not Kind.DIRECTORY:
            host.remove_file(target / portal)
            continue
        host.remove_dir(target / portal)
    host.remove_dir(target)
