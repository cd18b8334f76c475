"""Use cases: one typed function for each command, for Python, the command line and the service alike.

A workflow takes values, calls back with its progress, returns a result, and prints nothing.
"""
