"""Folders of runs: what lies there, side by side, followed, deleted and packed."""
