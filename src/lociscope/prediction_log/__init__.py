"""The prediction log: a database of what was predicted, when, and by which bundle."""
