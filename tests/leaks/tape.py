"""Everything that the driver answers, kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import grpc
from google.protobuf import json_format, text_format
from google.protobuf.message import Message

from tests.realnode.volumes import PATIENCE


class Tape:
    """Asks the driver and writes down the answers; no answer has a field that the contract calls secret."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._lock = Lock()

    def ask(self, call: Callable[..., Any], request: Message, timeout: float = PATIENCE) -> Any:
        """Return the answer.

        Raises:
            grpc.RpcError: As the call did.
        """
        name = type(request).__name__
        try:
            answer: Message = call(request, timeout=timeout)
        except grpc.RpcError as error:
            self._keep(f"{name}: {error.code()} {error.details()} {error.trailing_metadata()} {error!r}")
            raise
        self._keep(f"{name}: {json_format.MessageToJson(answer)} {text_format.MessageToString(answer)}")
        return answer

    def heard(self) -> bytes:
        return "\n".join(self._heard).encode()

    def _keep(self, text: str) -> None:
        with self._lock:
            self._heard.append(text)
