"""The one kind of failure the array reports, in Element's terms."""

from __future__ import annotations


class ElementError(Exception):
    """An answer with an `error` member.

    Attributes:
        name: Element's identifier, such as `xVolumeIDDoesNotExist`.
        message: Free text; the name itself where none is given, as real clusters do for some errors.
    """

    def __init__(self, name: str, message: str = "") -> None:
        """Remember both parts; the code is 500 for every error of the real array."""
        super().__init__(f"{name}: {message or name}")
        self.name = name
        self.message = message or name

    def to_json(self) -> dict[str, object]:
        """Return the `error` member of an answer."""
        return {"code": 500, "name": self.name, "message": self.message}
