"""Reads input files into validated frames, and adds files to the user's catalog."""
