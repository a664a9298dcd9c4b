"""CBAM: operator emissions data, the transitional quarterly report, and the community producer package.

Of these only the transitional QReport has a published schema of the Commission; bridge/CBAM.md says what is official.
"""
