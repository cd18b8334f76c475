"""Jobs: many fields that are uploaded at once, predicted in the background, and kept until they expire."""
