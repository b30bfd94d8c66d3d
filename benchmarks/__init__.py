"""What is measured against stock. `scripts/bench` runs it; docs/benchmarks.md says how to read it."""
