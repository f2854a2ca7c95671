"""Real protocol servers in front of the simulated machines, one process each, as a plant has one PLC each."""
