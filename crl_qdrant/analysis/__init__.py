"""Tasks of a criterion beside search: groups, labels, tags, trained heads, measurements."""
