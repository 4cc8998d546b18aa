"""The reference study: every network and every experiment behind the book's recorded results.

    python -m study.reference                          all parts that are not finished
    python -m study.reference --list                   the parts, and which are finished
    python -m study.reference resnet110 deletion       these parts alone

A part is finished when its rows are in book/results; delete that file to run the part again.  A
part that was interrupted goes on where its training was saved last.
"""

import sys

from study import commands

if __name__ == "__main__":
    advice = "the same command goes on with what is not finished"
    sys.exit(commands.run("study.recording", advice))
