"""The one class a user needs, and its asynchronous twin."""
