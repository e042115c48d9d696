"""What brings visual features into the space of a language model."""
