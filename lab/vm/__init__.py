"""The lab's virtual machines: booted once, saved, and restored for every later use.

image = Image.ensure(requirements=["grpcio"])
with Run(image) as run:
    array = run.start("array", address=["192.0.2.9", "192.0.2.10", "192.0.2.11"], forwards=[443])
    node = run.start("node-1", address=["192.0.2.101"])
    node.run("ping -c 1 192.0.2.10")
"""

from __future__ import annotations

from lab.vm.agent import Result
from lab.vm.errors import CommandFailed, LabError, MachineDied, Unanswered
from lab.vm.image import Image
from lab.vm.machine import Machine
from lab.vm.run import AlreadyUp, Run

__all__ = ["AlreadyUp", "CommandFailed", "Image", "LabError", "Machine", "MachineDied", "Result", "Run", "Unanswered"]
