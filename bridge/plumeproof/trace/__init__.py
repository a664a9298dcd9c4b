"""The way down from a declared figure to register bytes, every step computed again or verified while it is walked."""
