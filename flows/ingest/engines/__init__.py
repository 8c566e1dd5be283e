"""Results that serving engines and their benchmarks write, converted into files of serving results."""
