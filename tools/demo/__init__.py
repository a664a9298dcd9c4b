"""The whole line on this machine: emulated plant, modules on real MicroPython, bridge, broker, platform, dashboard.

`python -m tools.demo` (what `plumeproof demo` starts) runs it; every part is a process of its own, so that each can be
killed. At the end the plant stops first, the line drains, and figures are taken from what others wrote down: the
plant's own log, a subscriber of its own at the broker, and the platform's database.
"""
