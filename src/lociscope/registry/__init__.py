"""The model registry: versions of bundles, aliases, and the history of changes."""
