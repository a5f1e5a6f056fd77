"""One file per objective: a pure tensor function plus a thin class; imports torch only."""
