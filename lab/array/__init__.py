"""An array that speaks NetApp's Element API to clients that know nothing of this project.

In a test:

    with Array.start(unique_id="lab1") as array:
        array.endpoint, array.ca            # where it is, and the certificate to trust
        array.calls.methods()               # what was called
        array.faults.lose_answer("CreateVolume")
        array.call("ListVolumes")           # a look behind the scenes

Alone: `python3 -m lab.array --help`. Standard library only, and the `openssl` command.
"""

from lab.array.array import Array
from lab.array.data import Data, Export, NoData, Session
from lab.array.errors import ElementError
from lab.array.faults import Fault, Moment

__all__ = ["Array", "Data", "ElementError", "Export", "Fault", "Moment", "NoData", "Session"]
