"""Files that appear when they are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ._errors import KrxDataError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to be written; it gets its name when it is whole."""
    # numpy adds its suffix to a name without it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise KrxDataError(f"{path} cannot be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
