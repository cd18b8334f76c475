"""Groups of fields, and folds and splits that keep every group whole."""
