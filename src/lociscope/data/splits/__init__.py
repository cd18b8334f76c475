"""Divide a catalog into parts that share no group."""
