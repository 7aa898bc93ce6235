"""A run, its record, and what lies between: carrying it out, measuring it, keeping it."""
