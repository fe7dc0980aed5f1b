"""The errors that Tollbook shows to a person: each says what happened, where, and what to do."""


class TollbookError(Exception):
    """Something must stop; the message names the file, row and column where there is one, and the way out."""


class ConfigError(TollbookError):
    """``tollbook.yml`` or a file in ``config/`` cannot be used."""


class DeliveryError(TollbookError):
    """A delivered file cannot be loaded; what was loaded before stays."""


class GateError(TollbookError):
    """An audit gate stopped the publish; what was published before stays."""


class BusyError(TollbookError):
    """Another process is writing to the workspace."""
