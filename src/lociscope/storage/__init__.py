"""Read and write files safely: atomic writes, locks, schemas, tables, and formats that are checked before use."""
