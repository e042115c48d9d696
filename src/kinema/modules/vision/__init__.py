"""Encoders of images and frames."""
