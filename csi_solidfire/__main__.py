"""`python -m csi_solidfire` is the command `csi-solidfire`."""

from __future__ import annotations

import sys

from csi_solidfire.cli import main

sys.exit(main())
