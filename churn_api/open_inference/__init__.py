"""The Open Inference Protocol V2: the model as tensors, for clients that are written for any model server."""
