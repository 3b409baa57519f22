"""`python -m deploy.local`: run the stack until Ctrl-C. Exit code 1 when it cannot start."""

import sys

from deploy.local.console import console
from deploy.local.errors import LocalError
from deploy.local.settings import load
from deploy.local.stack import run


def main() -> int:
    """Run; give the exit code."""
    try:
        run(load())
    except LocalError as error:
        console.print(str(error), style="bold red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
