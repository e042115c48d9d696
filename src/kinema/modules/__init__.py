"""Networks smaller than a model; torch only."""
