"""The errors that people see: each says what was found, what was expected, and what to do.

Belongs here: errors that cross a module's border. Does not belong here: how they are shown (the command line ends with one
line and exit status 2, the service answers with problem details).
"""


class ChurnError(Exception):
    """Base of the errors that are raised on purpose."""


class InputError(ChurnError):
    """Somebody's configuration, table or command is wrong; the message says how to put it right."""


class DatabaseAwayError(InputError):
    """The serving database does not answer, or its file is not there."""


class SourceAwayError(ChurnError):
    """A company's own server does not answer, or went away during reading; another try may help."""


class StoreAwayError(ChurnError):
    """The store of release files or of the lake does not answer, or is not at its address; another try may help."""


class LostError(ChurnError):
    """What was written is not there any more, or is not as it was written; the message names it, and says how it comes back."""


class DiskError(ChurnError):
    """A disk is full, read-only, not this user's or broken; the message names the file and the way out, and another try may help."""


class UnsafeFileError(ChurnError):
    """In place of a file there is something that is not read: a pipe, a device, a folder or a link, or far too much."""


class ReleaseError(ChurnError):
    """A release is missing, changed, unblessed or does not do what its manifest says."""


class FencedError(ReleaseError):
    """Another writer published first; this writer's view of the newest epoch is old, and it wrote nothing."""


class AbsentError(ChurnError):
    """An optional part is not installed; the message says how to get it."""
