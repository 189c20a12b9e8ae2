"""What a worker shows of itself, and the doctor."""
