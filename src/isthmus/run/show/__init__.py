"""The demonstration: its stage, its story, its past, its buttons, and the comparison with the truth."""
