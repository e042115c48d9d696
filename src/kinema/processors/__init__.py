"""Messages to tensors: resize, patches, pruning, prompts, labels, collation."""
