"""Kubernetes CSI driver for NetApp SolidFire (Element) storage."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("csi-solidfire")
