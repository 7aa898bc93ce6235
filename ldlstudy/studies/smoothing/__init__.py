"""Chapter 2: the replication of "When does label smoothing help?" ([Re])."""
