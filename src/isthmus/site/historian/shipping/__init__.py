"""What a group of plants reads: segments, corrections and the newest samples, shipped."""
