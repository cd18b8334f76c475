"""Drift: whether the fields that come in are still those that the model knows."""

from __future__ import annotations

from lociscope.monitor.drift import Drift, check
from lociscope.monitor.samples import Sample

__all__ = ["Drift", "Sample", "check"]
