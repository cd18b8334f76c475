"""The simulated microscope: its devices, and the specimen under it."""
