"""Measures of how well a representation serves a criterion."""
