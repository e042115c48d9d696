"""The registry of families, and one folder a family."""
