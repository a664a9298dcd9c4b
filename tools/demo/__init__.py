"""The whole line on this machine: emulated plant, modules on real MicroPython, bridge, broker, platform, dashboard.

`python -m tools.demo` (what `plumeproof demo` starts) runs it; every part is a process of its own, so that each can be
killed, and whoever dies is started again. At the end the plant stops first, the line drains, and figures are taken from
what others wrote down: the plant's own log, the flash of the modules, a subscriber of its own at the broker, and the
platform's listing. Read line.py first, then run.py and witnesses.py.

A directory given with --dir keeps: `bridge/ledger.sqlite`, `keys.json`, `anchor.json`, `kept/` (the gateway's signed
anchors) and `envelopes.cbor` (for `plumeproof verify`), `bundle.zip` (the evidence of the run, checked at its end by
`plumeproof evidence verify`, `tools/second_verifier.py` and `tools/second_witness.py`) with `verdict.html`,
`platform-keys.json` (with which the platform signs receipts), `events.jsonl` (what started, died and
stopped when), a log of every part, `bridge.toml`, the test authority `ca/`, the platform's database, and for each
module its settings, flash image and the plant's log.
"""
