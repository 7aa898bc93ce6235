"""From records to what a page shows: one frame of results, tables, claims, figures, CSV."""
