"""Benchmarks by name: `make bench ARGS="line --json"`. Ratios beside a peer or a physical limit, measured in one run.

The machine is shared and noisy, so each figure is the median of interleaved rounds; the last line printed is one JSON
object. A bench is a file here with `STEPS`, how often it ticks, and `measure(is_quick, tick)`, which returns Figures.
"""
