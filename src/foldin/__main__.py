"""`python -m foldin`: the command line."""

from foldin.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
