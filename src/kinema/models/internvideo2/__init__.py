"""InternVideo2 (arXiv 2403.15377): a video encoder trained in three stages, and what is built on it."""
