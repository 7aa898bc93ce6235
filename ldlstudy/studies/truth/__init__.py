"""Chapter 5: every strategy on one task with a known truth."""
