"""The ledger: every claim of the papers with one verdict."""
