"""Worker processes, progress, and the signals that end a command."""
