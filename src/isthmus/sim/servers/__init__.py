"""Real protocol servers of the simulated plant, one file per protocol."""
