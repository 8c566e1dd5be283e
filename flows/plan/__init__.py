"""Plans: which configurations serve requests within a latency."""
