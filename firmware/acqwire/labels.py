"""COSE and CBOR labels in use (RFC 9052, August 2022; RFC 9053; RFC 8949). SPEC.md section 3."""

TAG_COSE_SIGN1 = 18  # RFC 9052 section 2, table 1
HEADER_ALG = 1  # RFC 9052 section 3.1
HEADER_KID = 4  # RFC 9052 section 3.1
ALG_ES256 = -7  # RFC 9053 section 2.1: ECDSA P-256 with SHA-256; the only algorithm
SIGNATURE_CONTEXT = "Signature1"  # RFC 9052 section 4.4
