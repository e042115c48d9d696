"""The laboratory: what the papers say is worth something, measured again on the toybox."""
