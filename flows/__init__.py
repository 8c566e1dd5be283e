"""How data moves: the flows, and the plain steps that they run."""
