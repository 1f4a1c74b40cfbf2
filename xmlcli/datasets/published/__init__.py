"""Published collections: where they are, and fetching them."""
