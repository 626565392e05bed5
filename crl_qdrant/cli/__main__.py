"""`python -m crl_qdrant.cli` is the program `crl-qdrant`."""

from crl_qdrant.cli.main import program

if __name__ == "__main__":
    program()
