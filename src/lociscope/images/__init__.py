"""Pixels in, pixels out: fields are found, read, checked, scaled, drawn and written here."""
