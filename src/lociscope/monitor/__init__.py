"""Drift detection: compare new fields with the fields that the model knows."""

from __future__ import annotations

from lociscope.monitor.drift import compare_samples
from lociscope.monitor.report import DriftReport
from lociscope.monitor.samples import Sample

__all__ = ["DriftReport", "Sample", "compare_samples"]
