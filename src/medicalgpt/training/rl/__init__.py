"""Stages that learn from the model's own answers: rollouts, rewards, advantages, updates."""
