"""Weights on disk and on the hub: key maps, safetensors, downloads, model cards."""
