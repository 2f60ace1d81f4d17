"""Registration with kubelet: one socket in its plugins_registry directory.

kubelet acts, the driver only answers. What kubelet 1.37 does (pkg/kubelet/pluginmanager):

- At its start it walks the directory and registers every socket in it; it removes none (the directory that it empties
  is the one for devices). So a kubelet that restarts finds the driver by itself.
- A socket that appears, under a name without a leading dot, is registered within a second: GetInfo (answered within a
  second), NodeGetInfo on the CSI socket, the CSINode object, NotifyRegistrationStatus.
- What fails is tried again, after half a second at first and every two minutes at last, for as long as the socket is
  there. So the driver stays: ending it, as a registrar in a container of its own does, would cut off volumes' calls.
- A socket that disappears unregisters the driver: no new volume reaches this node, those mounted stay.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import grpc

from csi_solidfire import logs
from csi_solidfire.pb import pluginregistration_pb2, pluginregistration_pb2_grpc
from csi_solidfire.rpc.server import EndpointError, remove_stale

log = logs.get(__name__)

_CSI_PLUGIN = "CSIPlugin"
# kubelet compares major versions only, and wants at least one that is neither 0 nor above 1.
_CSI_VERSIONS = ("1.0.0",)
_PATIENCE = 6  # looks at the socket until kubelet should have asked; it takes a second


class Registration(pluginregistration_pb2_grpc.RegistrationServicer):
    """Offers a driver to the kubelet of its node, from `start` to `stop`.

    Args:
        path: The socket to be, in kubelet's directory.
        driver_name: As in the CSIDriver object.
        endpoint: Path of the CSI socket, which must be the same for kubelet.
        interval: Seconds between two looks whether the socket is still there.
    """

    def __init__(self, path: Path, driver_name: str, endpoint: Path, interval: float = 10.0) -> None:
        self._path = path
        self._info = pluginregistration_pb2.PluginInfo(
            type=_CSI_PLUGIN, name=driver_name, endpoint=str(endpoint), supported_versions=_CSI_VERSIONS
        )
        self._interval = interval
        self._server: grpc.Server | None = None
        self._inode: tuple[int, int] | None = None
        self._asked = False
        self._accepted = False
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="registration", daemon=True)

    def start(self) -> None:
        """Show the socket to kubelet. The CSI socket must answer already.

        Raises:
            EndpointError: Another driver of this name is alive on the node, or the socket cannot be made.
        """
        self._listen()
        self._watch.start()

    def stop(self) -> None:
        """Take the socket away, by which kubelet unregisters the driver."""
        self._stopping.set()
        if self._watch.ident is not None:
            self._watch.join()
        if self._is_there():
            self._path.unlink(missing_ok=True)
        self._hang_up()

    def registered(self) -> bool:
        """Tell whether kubelet has accepted the driver and would find it again after a restart."""
        return self._accepted and self._is_there()

    def GetInfo(
        self, request: pluginregistration_pb2.InfoRequest, context: grpc.ServicerContext
    ) -> pluginregistration_pb2.PluginInfo:
        self._asked = True
        return self._info

    def NotifyRegistrationStatus(
        self, request: pluginregistration_pb2.RegistrationStatus, context: grpc.ServicerContext
    ) -> pluginregistration_pb2.RegistrationStatusResponse:
        self._accepted = request.plugin_registered
        if request.plugin_registered:
            log.info("registered with kubelet", driver=self._info.name)
        else:
            log.error("kubelet did not register the driver; it tries again by itself", error=request.error)
        return pluginregistration_pb2.RegistrationStatusResponse()

    def _listen(self) -> None:
        """Make the socket appear, complete and answering, under a name that nobody holds."""
        if not self._path.parent.is_dir():
            # Not made: kubelet makes it before it starts any pod, so this is another directory than kubelet's.
            raise EndpointError(f"{self._path.parent} is no directory; is kubelet's plugins_registry mounted there?")
        # gRPC replaces whatever has the name it is given and removes it at the end, whoever's it is by then. It is
        # given one that kubelet ignores, and the right name is a link, which is never made over another's.
        hidden = self._path.with_name(f".{self._path.name}")
        server = grpc.server(ThreadPoolExecutor(2, thread_name_prefix="registration"))
        pluginregistration_pb2_grpc.add_RegistrationServicer_to_server(self, server)
        try:
            remove_stale(self._path)
            server.add_insecure_port(f"unix:{hidden}")
            hidden.chmod(0o600)
            server.start()
            status = hidden.stat()
            self._path.hardlink_to(hidden)
            hidden.unlink()
        except (OSError, RuntimeError) as error:
            server.stop(0)
            raise EndpointError(f"cannot register with kubelet: {error}") from error
        self._server = server
        self._inode = (status.st_dev, status.st_ino)
        log.info("offering the driver to kubelet", socket=str(self._path), endpoint=self._info.endpoint)

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def _is_there(self) -> bool:
        try:
            status = self._path.lstat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def _keep(self) -> None:
        """Make the socket again if somebody removed it, as cleaning up kubelet's directory does."""
        for look in count(1):
            if self._stopping.wait(self._interval):
                return
            if look == _PATIENCE and not self._asked:
                log.warning("kubelet has not asked for the driver; is this its directory?", directory=self._path.parent)
            if not self._is_there():
                self._accepted = False
                self._repair()

    def _repair(self) -> None:
        log.warning("the registration socket is gone or another's", socket=str(self._path))
        try:
            self._hang_up()
            self._listen()
        except EndpointError as error:
            log.error("the driver is not registered", error=str(error))
