"""The registry of bundles: versions, aliases, and who changed what."""
