"""`python -m bentos.cli`: the same as `ascenso`, where no script is installed."""

from bentos.cli import main

main(prog_name="ascenso")
