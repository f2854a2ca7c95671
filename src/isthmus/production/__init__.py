"""What was made, and when it could be made (ISA-95 production operations)."""
