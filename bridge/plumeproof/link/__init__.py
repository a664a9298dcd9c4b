"""The gateway's half of the serial link (firmware/SPEC.md section 2)."""
