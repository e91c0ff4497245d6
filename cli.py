"""`python cli.py fit …` from a checkout; the same as the installed `facemask fit …`."""

from facemask.cli import main

if __name__ == "__main__":
    main()
