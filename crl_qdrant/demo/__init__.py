"""A catalogue rendered here, and a small encoder trained on such pictures: all that the demo needs."""
