"""What can go wrong with the lab's virtual machines."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the message is for the person who asked."""


class MachineDied(LabError):
    """QEMU ended by itself; the message has the end of its log."""


class Unanswered(LabError):
    """A guest agent or monitor gave no answer within its deadline."""


class CommandFailed(LabError):
    """A command in a guest ended with another status than 0."""

    def __init__(self, what: str, exit_code: int, stderr: str) -> None:
        super().__init__(f"{what}: exit status {exit_code}: {stderr.strip()[-2000:]}")
        self.exit_code = exit_code
        self.stderr = stderr
