"""A collection's criteria: from words to a named vector, and the manifest that keeps them."""
