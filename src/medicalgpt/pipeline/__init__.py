"""A chain of stages that skips what is already done."""
