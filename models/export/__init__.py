"""The released model for other programs: a `transformers` folder, and an ONNX graph."""
