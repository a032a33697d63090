"""`python -m worker`: run a worker."""

from worker.app import main

main()
