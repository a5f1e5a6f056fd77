"""One page to sign: what may be said of a model, gathered from the folders of its runs and evaluations."""
