"""The state of a run on disk, one format for supervised training and reinforcement learning."""
