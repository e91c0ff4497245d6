"""Training, scoring and predicting with Lightning: modules, callbacks and the trainer's CLI."""
