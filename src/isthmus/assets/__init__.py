"""What stands on the floor: every device, its firmware and its connections."""
