"""What krxdata raises, and what it warns of."""

from __future__ import annotations


class KrxDataError(Exception):
    """Anything that krxdata could not do, in a sentence that says what to do next."""


class UsageError(KrxDataError, ValueError):
    """An argument makes no sense."""


class NoDataError(KrxDataError):
    """A directory that is not a recorder's, or that has nothing to answer with."""


class VersionError(KrxDataError):
    """Files of a recorder that this version of krxdata does not know."""


class RecorderError(KrxDataError):
    """The newest records could not be read from the recorder or from its journal."""


class IncompleteWarning(UserWarning):
    """A result covers hours that were not recorded, or of which it is not known yet whether they were.

    `Data.gaps` and `Data.completeness` say more. It is given once for each date and feed of an open directory. To have an
    exception instead: ``warnings.simplefilter("error", krxdata.IncompleteWarning)``.
    """
