"""The doors to the business systems: orders and material in, what really happened out, each exactly once."""
