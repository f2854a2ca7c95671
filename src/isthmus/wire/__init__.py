"""What both sides of the boundary share: frames, segments, the link's words and its certificates."""
