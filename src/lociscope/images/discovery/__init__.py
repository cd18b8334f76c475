"""Find fields: which files belong together, by name."""
