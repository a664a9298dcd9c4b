"""PlumeProof bridge: verifies, stores, acknowledges, averages and delivers emission records."""

__version__ = "0.1.0"
