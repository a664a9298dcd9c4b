"""Proof of possession: what a module signs so that a registrar enrols its key. SPEC.md, section of that name."""

CONTEXT = "PlumeProof possession"  # first item of the statement: no Sig_structure begins so
VERSION = 1
NONCE_BYTES = 32  # chosen by the registrar, used once
SERIAL_MAX_BYTES = 32  # of the secure element or the board; may be empty
