"""The rig: a module on a bench, the gateway PC playing its analyzers, a switch in its supply.

What is wired how says one TOML file a rig, tests/hil/wiring/NAME.toml (wiring.py). `python -m tools.rig --help`.
"""
