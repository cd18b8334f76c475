"""Finding and preparing what networks are trained on."""
