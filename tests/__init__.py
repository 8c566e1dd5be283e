"""Tests; `tests.benchmark` prints how long the main job takes beside an empty flow."""
