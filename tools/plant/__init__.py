"""Emulated plant of one bus: independent Modbus RTU servers (pymodbus), a line that joins them, and its own log.

    python -m tools.plant --dir DIR --module NAME --parameters FILE --values model|FILE.csv [--fault gas:mute:10-20]

The module's side of the bus is the tty DIR/NAME/bus.tty (a symbolic link that stays while modules come and go). Each
analyzer is a server of its own on a pty of its own; bus.py is the cable. `ready` on stdout: the bus may be used.
With --port the bus is a real one behind a serial adapter, where a rig has one (tools.rig).
SIGTERM or SIGINT: nothing read afterwards is answered, what was asked before is; then the log is synced.

The log, DIR/NAME/plant.jsonl, is the referee of the demo: one JSON object a line, written when the thing has happened,
appended to when the plant is started again. Each has `kind` and `t_utc_ns` (host clock, Unix nanoseconds):
  request  one that the module sent: `n` (1.. in each start), `unit`, `function`, `address`, `quantity`, `analyzer`
           (id, null where no analyzer has this unit)
  answer   one that left an analyzer: keys of its request and `registers` (hex of the register or bit bytes in wire
           order; empty for an exception), `exception` (0: none), `intact` (all bytes, unchanged, and nothing else
           reached the module's tty; a late answer is intact), `fault` (what was done to it, null: nothing),
           `plant_s` (plant time of its values), `wire_us` (request, silence and answer at this baud), and `wire` (hex
           of what was sent instead) where it is not intact
  state    `state`: start (parameters_sha256, values, seed, speed, baud, paced), fault (analyzer, fault, active),
           noise (hex: bytes of the module that were no request), no_answer (n), replay_ended, stop (counters)
`t_utc_ns` of an answer is taken when its last byte was handed to the module's tty.
"""
