"""Chapter 4: label distribution learning."""
