"""Render results, Runs and Predictions as self-contained HTML pages."""
