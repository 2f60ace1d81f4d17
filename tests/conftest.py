"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time: a change is judged by what it changes. New ones are looked for with
# `pytest --hypothesis-profile=search`, and what it finds becomes a test of its own.
settings.register_profile("project", _COMMON, derandomize=True, max_examples=200)
settings.register_profile("search", _COMMON, max_examples=5000)
settings.load_profile("project")
