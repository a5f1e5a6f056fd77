"""What training and answering cost in memory, from a model's configuration alone."""
