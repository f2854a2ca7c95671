"""A group's centre: takes stock of what its sites ship, and answers the same questions over all of them."""
