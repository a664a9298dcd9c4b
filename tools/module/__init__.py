"""`plumeproof module`: looks at modules, flashes, provisions and updates them. Not installed; run from the checkout.

A module is reached at its link (a serial port, questions of SPEC.md section 2) or, while it has no program that holds
it, at its console: MicroPython's raw REPL, driven by mpremote's transport. An emulated module is a directory.
"""
