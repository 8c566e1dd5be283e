"""Files of other programs in, measurements out; one module a format."""
