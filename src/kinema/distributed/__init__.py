"""Several processes as one: who is who, and what they tell one another; no-ops on one process."""
