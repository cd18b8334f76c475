"""From findings, Runs and Predictions to one self-contained HTML page; draws, and computes only scores."""
