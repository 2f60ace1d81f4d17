"""A plain HTTPS client: what a stranger would write with the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.array import Array


class Refused(Exception):
    """An answer with an error in it."""

    def __init__(self, error: dict[str, Any]) -> None:
        """Keep its parts."""
        super().__init__(f"{error['name']}: {error['message']}")
        self.code, self.name, self.message = error["code"], error["name"], error["message"]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.text)
        return decoded


class Client:
    """One connection, kept open as long as the array keeps it."""

    def __init__(self, array: Array, directory: Path, username: str = "", password: str = "", path: str = "") -> None:
        """Trust the array's certificate and nothing else."""
        self._array = array
        self._path = path or "/json-rpc/12.5"
        login = f"{username or array.username}:{password or array.password}"
        self.headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        context = ssl.create_default_context(cadata=array.ca)
        self._connection = http.client.HTTPSConnection("127.0.0.1", array.port, timeout=10, context=context)

    def request(self, verb: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Send anything."""
        try:
            self._connection.request(verb, path, body, self.headers if headers is None else headers)
            response = self._connection.getresponse()
            return Answer(response.status, response.read().decode())
        except BaseException:
            self._connection.close()
            raise

    def post(self, request: Any, path: str = "") -> Answer:
        """Send a JSON-RPC envelope."""
        return self.request("POST", path or self._path, json.dumps(request).encode())

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result.

        Raises:
            Refused: The array answered an error.
        """
        answer = self.post({"method": method, "params": params, "id": 1}).json
        if "error" in answer:
            raise Refused(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def account(self, username: str = "owner") -> int:
        """Make an account and return its id."""
        account_id: int = self.call("AddAccount", username=username)["accountID"]
        return account_id

    def volume(self, account_id: int, name: str = "pvc-1", size: int = 2**30, **params: Any) -> dict[str, Any]:
        """Make a volume and return it."""
        answer = self.call("CreateVolume", name=name, accountID=account_id, totalSize=size, **params)
        volume: dict[str, Any] = answer["volume"]
        return volume

    def ids(self, method: str = "ListVolumes", **params: Any) -> list[int]:
        """List volumes and return their ids."""
        return [volume["volumeID"] for volume in self.call(method, **params)["volumes"]]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
