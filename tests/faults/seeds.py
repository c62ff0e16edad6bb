"""The seeds of CI, and how long each injects faults."""
SEEDS = (1, 2, 3)
SECONDS = 60
