"""`python -m farm.coordinator`: run a coordinator."""

from farm.coordinator.app import main

main()
