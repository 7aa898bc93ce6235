"""Chapter 3: class-wise self-distillation."""
