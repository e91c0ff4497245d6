"""`python -m facemask fit …`; the same as `facemask fit …`."""

from facemask.cli import main

if __name__ == "__main__":
    main()
