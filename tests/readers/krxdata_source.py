"""Which `krxdata` is tested: that of the source, or with `KRXDATA=installed` the one that is installed.

`conftest` imports it: with pytest-xdist, the process that hands out tests reads their warnings, and must know the class."""

from __future__ import annotations

import os
import sys

from processes import ROOT

IS_INSTALLED = os.environ.get("KRXDATA") == "installed"

if not IS_INSTALLED:
    sys.path.insert(0, str(ROOT / "crates" / "krx-python" / "python"))
