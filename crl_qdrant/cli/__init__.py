"""The command line; `app.py` has the program, the other modules one command (group) each."""
