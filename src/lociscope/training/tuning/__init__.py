"""Hyperparameter search: the search space, the trials, the study's database."""
