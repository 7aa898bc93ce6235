"""Chapter 1: instance-based label smoothing on six Gaussians."""
