"""One subclass of transformers.Trainer, rollouts and callbacks."""
