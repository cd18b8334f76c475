"""Read and write images: one module per format."""
