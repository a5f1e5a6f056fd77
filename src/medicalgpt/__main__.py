"""`python -m medicalgpt` (also `torchrun -m medicalgpt`) is the `medicalgpt` command."""

from medicalgpt.cli import main

if __name__ == "__main__":
    main()
