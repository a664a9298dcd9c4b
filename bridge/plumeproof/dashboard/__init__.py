"""The local page: read-only, this machine only, no rules inside (reference: architecture B1, faces)."""
