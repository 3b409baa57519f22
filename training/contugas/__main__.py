"""`python -m training.contugas`: train, and register a new version of contugas-anomaly."""

from training.cli import trainer
from training.contugas.settings import Settings
from training.contugas.train import launch

main = trainer("contugas", Settings, launch, __doc__)

if __name__ == "__main__":
    main(prog_name="python -m training.contugas")
