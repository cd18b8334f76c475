"""Searching a recipe's values: the space, the trials, the study's database."""
