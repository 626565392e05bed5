"""The mathematics of a criterion: from its words' embeddings to conditional representations. Knows no database."""
