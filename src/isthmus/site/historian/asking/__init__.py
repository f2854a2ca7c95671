"""Questions: each operator's reference, its texts for engines, and the fast ways in numpy."""
