"""A small training run, and how it is interrupted."""

from study.training.recipes import TrainConfig

SMALL = TrainConfig(
    dataset="digits",
    depth=14,
    recipe="compact",
    iterations=30,
    batch_size=64,
    learning_rate=0.05,
)


def interrupt_at(iteration):
    """A progress callback that stops training as Ctrl-C does."""

    def progress(done, total, loss):
        if done == iteration:
            raise KeyboardInterrupt

    return progress
