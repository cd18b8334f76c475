"""lociscope says where in the cell a protein is."""

__version__ = "0.1.0"
