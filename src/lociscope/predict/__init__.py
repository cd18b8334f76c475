"""Inference: fields in, Predictions out, with ONNX Runtime and without TensorFlow."""
