"""Samples for training: formats, readers, mixtures."""
