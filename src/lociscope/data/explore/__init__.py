"""Explore fields before training: summaries of labels, one reading of all pixels, and findings."""
