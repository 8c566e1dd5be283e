"""How the configs of models are read: architectures are files, kinds of layers are code."""
