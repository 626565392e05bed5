"""How items become points: read, decoded, embedded, written; and a collection moved to another encoder."""
