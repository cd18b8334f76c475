"""Cells and their compartments, and the features measured in them."""
