"""What tests of a bench share: a switch for the module's power, whatever the rig."""

from __future__ import annotations

import pytest


@pytest.fixture
def rig(make_rig):
    return make_rig(slot_ms=200, seal_ms=600)


@pytest.fixture
def seen(request):
    """seen(name, value): for the report (tools/rig/report.py)."""

    def add(name, value):
        request.node.user_properties.append((name, value))

    return add
