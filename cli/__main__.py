"""`python -m cli` is `audit`: how `audit up` starts its children with its own interpreter."""

from cli.main import main

if __name__ == "__main__":
    main()
