"""Drift: whether the fields that come in are still those that the model knows."""
