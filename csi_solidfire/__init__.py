"""Kubernetes CSI driver for NetApp SolidFire (Element) storage."""

from __future__ import annotations

__version__ = "0.1.0"
