"""Charts: a frame in, an Altair chart out. Every figure comes from a view; a chart places it."""
