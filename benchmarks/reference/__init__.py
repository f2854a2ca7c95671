"""What benchmarks share and `make bench` does not run: the reference plant's history, and the peers it is put into."""
