"""From averages and records to a proven delivery: reports, the decisions of the outbox, and the sinks."""
