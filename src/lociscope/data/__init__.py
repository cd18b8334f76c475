"""Find, split, cache and augment the fields that networks are trained on."""
