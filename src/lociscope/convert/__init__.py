"""Models of others as bundles: ONNX, Keras and published checkpoints."""
