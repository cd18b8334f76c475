"""Preprocessed fields on disk, which training reads."""
