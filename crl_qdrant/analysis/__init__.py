"""What a criterion does on a collection beside searching it: groups, labels, tags, trained heads, measurements."""
