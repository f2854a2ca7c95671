"""What comes in from edges, hands and a bus: the one door, who may speak, and onto disk before anything else."""
