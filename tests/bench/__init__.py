"""Benchmarks. `make bench` runs them and prints every figure beside its floor, measured in the same run."""
