"""Exact search over the raw embeddings, kept in the device's memory."""
