"""Where state outlives the process: profiles and watermarks in a store, the model in snapshots."""
