"""`python -m farm.cli`: the same as the console script `farm`."""

from farm.cli import main

main()
