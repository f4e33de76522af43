"""The model as data: signature, scorer, and what an ONNX file may hold."""
