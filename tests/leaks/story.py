"""The whole life of volumes, with all that can go wrong in it, told once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest

from csi_solidfire.handles import Chap, VolumeHandle
from lab import csi
from lab.kube import Api, ControlPlane
from lab.site import Node, Site
from tests.fencing.controllers import Faults
from tests.kube import driver_role
from tests.leaks.controller import Host
from tests.leaks.needles import Secrets, middle, unusual
from tests.leaks.orchestrator import Orchestrator, Volume
from tests.leaks.places import Found, Watched
from tests.leaks.tape import Tape
from tests.realnode.volumes import PATIENCE, start_driver, until_done
from tests.support.driver import wait_until

_ADMIN = "for-the-driver"
_SHORT = 5.0  # seconds that a call gets which is not to succeed
_LOGGING_IN = "test -s /etc/iscsi/nodes/{iqn}/*/default && pgrep -f 'i[s]csiadm.*{iqn}.*--login'"

# What the array does to calls that have CHAP secrets in the request or in the answer.
_ARRAY_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "fail", "method": "AddAccount", "name": "xUnheardOf", "message": "{params}", "carried_out": True},
    {"kind": "fail", "method": "AddAccount", "name": "xRecvTimeout", "message": "{params}", "carried_out": True},
    {"kind": "garbage", "method": "AddAccount", "name": "truncated"},
    {"kind": "garbage", "method": "AddAccount", "name": "http500", "carried_out": True},
    {"kind": "lose", "method": "AddAccount"},
    {"kind": "garbage", "method": "GetAccountByID", "name": "truncated"},
    {"kind": "garbage", "method": "GetAccountByID", "name": "noresult"},
    {"kind": "fail", "method": "CreateVolume", "name": "xInvalidParameter", "message": "{params}"},
    {"kind": "refuse", "method": None},
)


@dataclass
class Story:
    """What is told, and by whom.

    Attributes:
        secrets: All that there ever were.
        files: Files with secrets on a node, at moments.
    """

    site: Site
    plane: ControlPlane
    admin: Api
    host: Host
    kubernetes: Orchestrator
    tape: Tape
    watched: dict[str, Watched]
    secrets: Secrets = field(default_factory=Secrets)
    files: dict[str, dict[str, Found]] = field(default_factory=dict)
    _credentials: dict[str, str] = field(default_factory=dict)
    _dressed: set[int] = field(default_factory=set)
    _made: int = 0

    def tell(self) -> None:
        node, other = self.site.node("node-1"), self.site.node("node-2")
        self.new_admin_password()
        self.host.start()
        self.bad_admin_credentials()
        self.array_faults()
        files = Volume("shop", csi.mount("ext4"))
        self.prepare(files, node)
        self.bad_chap_credentials(files, node)
        self.driver_dies(files, node, "KILL")
        self.life(files, node)
        device = Volume("shop", csi.block(), {"chap": "one-way"})
        self.prepare(device, node)
        self.life(device, node)
        self.kubernetes_faults(device, node)
        self.credentials_with_each_request(node)
        self.new_admin_password()
        self.prepare(files, other)
        self.driver_dies(files, other, "ABRT")
        self.rotation(files, other)
        for volume in (files, device):
            self.kubernetes.delete(volume)

    # The parts

    def bad_admin_credentials(self) -> None:
        volume = Volume("shop", csi.block())
        good, password = self._credentials, self._credentials["password"]
        host = good["endpoint"].removeprefix("https://")
        changes = [
            {"password": self.make("a wrong admin password")},
            {"password": f"{password}\n"},
            {"password": f"{password}\ttab"},
            {"endpoint": f"https://{_ADMIN}:{password}@{host}"},
            {"endpoint": f"https://{host}/{password}"},
            {"username": password},
            {"username": f"{_ADMIN}:{password}"},
            *({key: password} for key in ("endpoint", "caCert", "svip")),
        ]
        for change in changes:
            self.host.mount(good | change)
            self.fails(partial(self.kubernetes.create, volume, _SHORT))
        assert self.host.rotate("--all") == 1
        self.host.mount(good)
        self.fails(partial(self.kubernetes.create, Volume("shop", csi.block(), secrets=good | changes[0]), _SHORT))

    def array_faults(self) -> None:
        """Each hits a volume of a namespace of its own, so that there is no account for it yet."""
        faults = Faults(self.site)
        for number, fault in enumerate(_ARRAY_FAULTS):
            volume = Volume(f"fault-{number}", csi.block())
            faults.arm(**fault)
            with suppress(grpc.RpcError):
                self.kubernetes.create(volume, _SHORT)
            faults.clear()
            self.note_accounts()

    def bad_chap_credentials(self, volume: Volume, node: Node) -> None:
        good = self.kubernetes.secret(volume, node)
        wrong = self.make("a wrong CHAP secret")
        changes = [
            {Chap.PASSWORD: ""},
            {Chap.PASSWORD: self.secrets.add("a CHAP secret that is too short", f"-{middle()}")},
            {Chap.PASSWORD: self.secrets.add("a CHAP secret that is too long", f"%s-{middle()}-{middle()}")},
            {Chap.PASSWORD: f"{good[Chap.PASSWORD]}\n"},
            {Chap.PASSWORD: self.secrets.add("a CHAP secret that is not ASCII", f"{middle()}-pä{{}}")},
            {Chap.USERNAME_IN: good[Chap.PASSWORD]},
            {Chap.USERNAME: wrong, Chap.USERNAME_IN: wrong},
            {Chap.PASSWORD: wrong},
            {Chap.PASSWORD_IN: wrong},
        ]
        for change in changes:
            self.fails(partial(self.kubernetes.stage, volume, node, good | change))
        self.look("after logins that were refused", node)

    def driver_dies(self, volume: Volume, node: Node, signal: str) -> None:
        """While its login waits for the array, which it does for half a minute."""
        iqn = volume.context["iqn"]
        node.machine.cut("storage")
        try:
            with ThreadPoolExecutor(1) as pool:
                call = pool.submit(self.kubernetes.stage, volume, node)
                logs_in = _LOGGING_IN.format(iqn=iqn)
                wait_until(lambda: node.machine.run(logs_in, check=False).exit_code == 0, PATIENCE)
                node.stop_driver(signal)
                assert isinstance(call.exception(), grpc.RpcError)
            self.look(f"after the driver's death, {signal}", node)
        finally:
            node.machine.restore_link("storage")
        start_driver(node)
        until_done(lambda: self.kubernetes.stage(volume, node))
        self.kubernetes.unstage(volume, node)

    def life(self, volume: Volume, node: Node) -> None:
        until_done(lambda: self.kubernetes.stage(volume, node))
        target = self.kubernetes.show(volume, node)
        write = f"echo kept > {target}/file; sync -f {target}"
        node.machine.run(f"dd if=/dev/zero of={target} bs=4k count=1 conv=notrunc" if volume.is_block else write)
        moment = f"while a {volume.capability.WhichOneof('access_type')} volume is attached"
        if moment not in self.files:
            self.look(moment, node)
        self.kubernetes.hide(volume, node)
        self.kubernetes.unstage(volume, node)
        self.kubernetes.detach(volume, node)

    def kubernetes_faults(self, volume: Volume, node: Node) -> None:
        self.kubernetes.attach(volume, node)
        edited = {"stringData": {Chap.PASSWORD: self.make("a Secret edited by hand")}}
        self.admin.patch("Secret", volume.name, edited, driver_role.NAMESPACE)
        self.fails(partial(self.kubernetes.stage, volume, node))
        self.plane.stop_api()
        try:
            assert len(self.kubernetes.ask_for_all(volume, node, _SHORT)) == 3
        finally:
            self.plane.start_api()
        driver_role.unbind(self.admin)
        try:
            # The API server notices after a while.
            wait_until(lambda: len(self.kubernetes.ask_for_all(volume, node, _SHORT)) == 3, PATIENCE)
            self.fails(partial(self.kubernetes.create, Volume("shop", csi.block()), _SHORT))
            self.fails(partial(self.kubernetes.attach, volume, node, _SHORT))
        finally:
            driver_role.bind(self.admin)
        until_done(lambda: self.kubernetes.attach(volume, node))
        self.life(volume, node)

    def credentials_with_each_request(self, node: Node) -> None:
        volume = Volume("bank", csi.block(), secrets=self._credentials)
        self.prepare(volume, node)
        self.kubernetes.look_around(volume, self.site.nodes.values())
        self.life(volume, node)
        self.kubernetes.delete(volume)

    def rotation(self, volume: Volume, node: Node) -> None:
        """An attached volume keeps its secrets and gets others when it is next attached."""
        until_done(lambda: self.kubernetes.stage(volume, node))
        assert self.host.rotate("--account=no-such-account") == 1
        faults = Faults(self.site)
        faults.arm("garbage", method="ListAccounts", name="truncated")
        assert self.host.rotate("--all") == 0
        assert faults.armed() == []
        self.kubernetes.unstage(volume, node)
        self.kubernetes.detach(volume, node)
        self.prepare(volume, node)
        self.life(volume, node)

    # What they are made of

    def prepare(self, volume: Volume, node: Node) -> None:
        """Attach a volume, under secrets that are hard to handle: the account's, set before anybody has logged in."""
        if not volume.handle:
            self.kubernetes.create(volume)
        self.kubernetes.attach(volume, node)
        self.note_accounts()
        found = self.site.call("ListVolumes", {"volumeIDs": [VolumeHandle.parse(volume.handle).volume_id]})
        account = found["volumes"][0]["accountID"]
        if account not in self._dressed:
            self._dressed.add(account)
            both = {key: self.make(f"{key} {account}") for key in ("initiatorSecret", "targetSecret")}
            self.site.call("ModifyAccount", {"accountID": account, **both})
            self.kubernetes.attach(volume, node)

    def note_accounts(self) -> None:
        """Remember the secrets of all accounts, as the driver made them."""
        for account in self.site.call("ListAccounts")["accounts"]:
            for key in ("initiatorSecret", "targetSecret"):
                self.secrets.add(f"{key} of {account['username']}", account[key])

    def new_admin_password(self) -> None:
        """Give the driver's cluster admin another password, and make the admin if there is none."""
        password = self.secrets.add("an admin password", unusual(self._made) + middle())
        self._made += 1
        admins = self.site.call("ListClusterAdmins")["clusterAdmins"]
        number = next((admin["clusterAdminID"] for admin in admins if admin["username"] == _ADMIN), None)
        if number is None:
            access = ["read", "accounts", "volumes", "reporting"]
            self.site.call("AddClusterAdmin", {"username": _ADMIN, "password": password, "access": access})
        else:
            self.site.call("ModifyClusterAdmin", {"clusterAdminID": number, "password": password})
        written = {file.name: file.read_text() for file in (self.site.clusters / "lab").iterdir()}
        self._credentials = written | {"username": _ADMIN, "password": password}
        self.host.mount(self._credentials)

    def make(self, name: str) -> str:
        self._made += 1
        return self.secrets.add(name, unusual(self._made))

    def look(self, moment: str, node: Node) -> None:
        self.files[moment] = self.watched[node.name].files(self.secrets)

    @staticmethod
    def fails(call: Callable[[], object]) -> None:
        with pytest.raises(grpc.RpcError):
            call()
