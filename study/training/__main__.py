"""The command line of training: `python -m study.training --help`."""

import sys

from study import commands

if __name__ == "__main__":
    sys.exit(commands.run("study.training.command", "the same command goes on from here"))
