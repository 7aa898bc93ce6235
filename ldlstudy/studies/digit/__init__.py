"""The first chapter: one digit that a network gets wrong, and the labels that it could have had."""
