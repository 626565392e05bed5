"""A collection in a directory, by Qdrant Edge."""
