"""The live page of a microscope that a plan drives."""
