"""What tests have in common: inputs, servers, and helpers that look at what came out."""
