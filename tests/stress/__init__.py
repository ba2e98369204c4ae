"""The stress run: faults at random against all five scripts; `python tests/stress --help`."""
