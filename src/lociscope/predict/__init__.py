"""The using arm: fields in, Predictions out, with ONNX Runtime and without TensorFlow."""
