"""What is on disk for good: segments of Parquet, their manifest, and what the background does to them."""
