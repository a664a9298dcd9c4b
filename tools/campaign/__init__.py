"""The kill campaign: parts of a running line are killed with -9 at random, and nothing may be lost or come twice.

    python -m tools.campaign --kills 20 --seed 1 --json        # what `make kills` starts

A module's death is its power cut: the batch in its memory is gone and the next boot record signs the interval; what its
flash holds comes up again. Afterwards the witnesses of the demo are the checker (reference: reliability section 9):
journaled records are in the ledger, once and unaltered, and nothing else is; the chain is unbroken and every slot
accounted for; the plant's answers are in records, or excused by a signed gap or power-off interval; every average is in
one report and every report once at the platform, with its receipt in the ledger. A failure prints the seed.
"""
