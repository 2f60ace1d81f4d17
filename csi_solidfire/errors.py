"""Every failure the driver reports, in its own words.

* DriverError
  * InvalidRequest    the request is malformed or asks for something unsupported
  * OutOfRange        the size asked for cannot be had
  * NotFound          the volume or node does not exist
  * AlreadyExists     the name or path is taken by something different
  * Busy              another call on the same thing is still running
    * BadToken        a page token this driver did not hand out
  * Refused           the present state of the thing does not allow it
  * Exhausted         a limit of the array or of the node is reached
  * Unauthenticated   somebody refused the credentials
  * PermissionDenied  the credentials are right and not enough
  * Unavailable       the array or the host did not answer, or not plausibly: ask again

The gRPC code of each is in `rpc.status`. A sidecar takes Busy and Unavailable as "maybe still going
on" and every other one as final: raising one of the others promises that the call left nothing behind.
"""

from __future__ import annotations


class DriverError(Exception):
    """A failure with a message for the person who reads the event; never holds a secret."""


class InvalidRequest(DriverError):
    """The message names the field and what it may be."""


class OutOfRange(DriverError):
    """No size both the caller and the array accept."""


class NotFound(DriverError):
    """The thing named does not exist, or its name is not one of ours."""


class AlreadyExists(DriverError):
    """It exists and is not what was asked for."""


class Busy(DriverError):
    """Somebody else is at work on it; nothing was done."""


class BadToken(Busy):
    """CSI wants ABORTED for a page token that cannot be used."""


class Refused(DriverError):
    """Nothing was done; the caller has to change something first."""


class Exhausted(DriverError):
    """A limit; nothing was done."""


class Unauthenticated(DriverError):
    """User name, password or CHAP secret refused."""


class PermissionDenied(DriverError):
    """The array knows the user and does not let it do this."""


class Unavailable(DriverError):
    """No answer, half an answer or a contradictory one. What was asked may have happened all the same."""
