"""Recipe and fields become a Run; a Run becomes a Bundle."""
