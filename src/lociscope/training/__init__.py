"""Train a Run from a recipe and fields, tune a recipe, export a Run as a Bundle."""
