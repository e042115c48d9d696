"""The front door: load a model and ask it about media."""
