"""What a profile says the user likes: vectors and keywords."""
