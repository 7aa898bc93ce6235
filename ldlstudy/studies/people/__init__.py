"""People as the truth: strategies held against the votes of people on real images."""
