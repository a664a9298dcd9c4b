"""The ledger file: SQLite through apsw, the only place that knows it."""
