"""Watch a folder and predict fields as they arrive."""
