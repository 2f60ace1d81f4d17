"""A host that dies at its n-th operation: the driver killed, the node's power cut. Wraps any `Host`, a real one too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from csi_solidfire.node.host import Host

# Only what changes something counts: dying between two looks leaves what dying before the next change leaves.
_CHANGES = frozenset(
    {"run", "write_private", "write_sysfs", "write_blocks", "make_dir", "make_file", "remove_file", "remove_dir"}
)


class Died(BaseException):
    """No `except Exception` of the code under test may see it: nobody cleans up after a power cut."""


class DyingHost:
    """See the module. Cast to `Host` by `dying`.

    Args:
        nth: Which operation is the last one, from 1.
        done: It is carried out, but nobody is left to hear the answer.
        end: What comes in place of the answer. After anything else than `Died` the host lives on.
    """

    def __init__(self, host: Host, nth: int, *, done: bool, end: BaseException) -> None:
        self._host = host
        self._left = nth
        self._done = done
        self._end = end

    @property
    def lived(self) -> bool:
        """Fewer operations were asked for than it had to live."""
        return self._left > 0

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._host, name)
        if name not in _CHANGES:
            return method

        def counted(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if self._done:
                    method(*arguments, **options)
                raise self._end
            if self._left < 0 and isinstance(self._end, Died):
                raise Died
            return method(*arguments, **options)

        return counted


def dying(host: Host, nth: int, *, done: bool, end: BaseException | None = None) -> tuple[Host, DyingHost]:
    """Return a host that dies, as a `Host` and as itself."""
    wrapper = DyingHost(host, nth, done=done, end=end or Died())
    return cast(Host, wrapper), wrapper
