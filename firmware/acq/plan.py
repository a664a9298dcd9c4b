"""What is polled and how often, as settings.py has read it from the parameter set. Times in milliseconds."""


class Analyzer:
    """How one analyzer is asked."""

    def __init__(self, unit: int, timeout_ms: int, retries: int) -> None:
        self.unit = unit
        self.timeout_ms = timeout_ms
        self.retries = retries


class Block:
    """One request in every slot. `analyzer` is an index, `width_bytes` the register bytes of a full answer."""

    def __init__(self, analyzer: int, function: int, address: int, quantity: int, width_bytes: int) -> None:
        self.analyzer = analyzer
        self.function = function
        self.address = address
        self.quantity = quantity
        self.width_bytes = width_bytes


class Plan:
    """A parameter set as far as the module needs it. `raw_bytes` is its length, `hash` its SHA-256."""

    def __init__(self, raw_bytes: int, digest: bytes) -> None:
        self.raw_bytes = raw_bytes
        self.hash = digest
        self.device = ""
        self.slot_ms = 0
        self.seal_ms = 0
        self.baud = 0
        self.parity = ""
        self.stop_bits = 0
        self.analyzers = ()
        self.blocks = ()
        self.confirm = ()  # those of `blocks` that confirm.py reads twice
        self.notices = None  # notice_settings.Wanted, where the set asks for it
        self.link_address = 0  # from settings.json
        self.batches = None  # batch.pair, where main.py has made it while the heap had a place; else the sampler does
