"""Training, scoring and predicting with Lightning: modules, callbacks and the trainer's CLI."""

from typing import Final

TRAINER_VERBS: Final = {
    "fit": "Train a model.",
    "validate": "Score a model on the validation side: RUN, the folder of its training, or -c.",
    "test": "Score a model on the test side, and record every frame: give RUN, or -c.",
    "predict": "Write a model's masks of a data set: give RUN, or -c.",
}
"""Verbs of Lightning's Trainer on the command line, and one line on each."""
