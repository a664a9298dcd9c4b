"""PlumeProof bridge: verifies, stores, acknowledges, averages and delivers emission records."""

__version__ = "0.1.0"
__released__ = "2026-11-24"  # UTC; a clock before this day is wrong, and nothing is delivered by it
