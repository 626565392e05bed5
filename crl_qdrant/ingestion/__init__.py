"""From items to points: read, decoded, embedded, written; and migration to another encoder."""
