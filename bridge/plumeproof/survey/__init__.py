"""What a technician needs at the bus: find analyzers, read registers, keep register tables. Nothing here is evidence.

`profile` and `table` hold what is known of analyzers; `adu` and `line` ask them; `search` finds them; `readings` and
`snapshot` show what they say.
"""
