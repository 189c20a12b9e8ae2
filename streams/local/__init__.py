"""The local stack: broker, store and workers as child processes."""
