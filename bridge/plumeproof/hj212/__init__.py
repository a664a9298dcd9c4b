"""HJ 212 (reference: reporting-interfaces section 4) as pure code: frame, packet, codes, parts joined.

No socket, clock or file handle is opened here. The field unit's sink will feed what it receives to a
`FrameSplitter`, hand each accepted frame to `parse_data`, look the command up in `codes`, and send
`frame_bytes(build_data(...))`; a platform simulator does the same from the other side and joins parts with a
`PartsJoiner`. Time-outs, resends and the queue are theirs. The 2025 edition is a preview: its rows in codes.csv say so.
"""
