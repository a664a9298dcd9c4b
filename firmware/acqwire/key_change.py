"""Keys and words of a key change record (SPEC.md sections 4.3 and 10): integer keys 90 to 99 of the record map.

In a file of their own, beside fields.py, because a module needs them once in years.
"""

KEY_NEXT = 90  # bytes 65   SEC1 uncompressed point of the key that signs from the next record on
KEY_PROOF = 91  # bytes 64  r || s of that key over the statement of SPEC.md section 10

CONTEXT = "PlumeProof key change"  # first item of the statement: no Sig_structure begins so
VERSION = 1
