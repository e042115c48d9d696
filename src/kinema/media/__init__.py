"""Files to frames and samples, and back: probe, decode, sample, image, audio, write."""
