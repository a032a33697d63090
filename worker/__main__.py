"""`python -m worker`: run a worker."""

from farm.settings import Settings
from worker.device import limit_threads

# Before anything imports torch: OpenMP reads its environment once, as it is loaded.
limit_threads(Settings.load().threads)

from worker.app import main  # noqa: E402

main()
