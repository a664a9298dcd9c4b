"""The module's exceptions (reference: architecture B8): ports, journal, settings, signer; never a failed poll."""

from acqwire import causes


class BusError(Exception):
    """The RS-485 port itself failed (not a failed poll, which is a gap). `code`: causes.FAULT_BUS_*."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


class JournalError(Exception):
    """The journal or its flash cannot do what was asked. `code`: causes.FAULT_FLASH_*, FAULT_JOURNAL_*."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


class SettingsError(Exception):
    """settings.json or parameter set refused. `code`: causes.FAULT_SETTINGS_*; `key`: where."""

    def __init__(self, code: int, key: str):
        super().__init__(code, key)
        self.code = code
        self.key = key


class SignerFault(Exception):
    """No signature can be given out: it does not verify, or the secure element fails. `code`: causes.FAULT_SIGNER,
    FAULT_ELEMENT_*; `detail`: atecc_zone.REFUSED_* where the element is refused, else 0."""

    def __init__(self, code: int = causes.FAULT_SIGNER, detail: int = 0):
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def fault_code(fault: Exception) -> int:
    """causes.FAULT_* of an exception that ended the program."""
    if isinstance(fault, (BusError, JournalError, SettingsError, SignerFault)):
        return fault.code
    return causes.FAULT_MEMORY if isinstance(fault, MemoryError) else causes.FAULT_PROGRAM
