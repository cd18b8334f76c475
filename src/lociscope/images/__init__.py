"""Find, read, check, scale, render and write fields."""
