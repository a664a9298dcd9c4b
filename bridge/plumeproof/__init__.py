"""PlumeProof bridge: verifies, stores, acknowledges, averages and delivers emission records.

For notebooks: `plumeproof.averages`, `plumeproof.limits`, `plumeproof.surveillance` and `plumeproof.Readings`
(notebook.py), imported when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plumeproof.notebook import Averages, Limits, Readings, averages, limits, surveillance

__version__ = "0.1.0"
__released__ = "2026-11-24"  # UTC; a clock before this day is wrong, and nothing is delivered by it
__all__ = ["Averages", "Limits", "Readings", "averages", "limits", "surveillance"]


def __getattr__(name: str) -> Any:
    """numba and numpy take their second only where figures are made."""
    if name in __all__:
        from plumeproof import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
