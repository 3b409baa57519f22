"""`python -m training.spotify`: train, and register a new version of spotify-popularity."""

from training.cli import trainer
from training.spotify.settings import Settings
from training.spotify.train import launch

main = trainer("spotify", Settings, launch, __doc__)

if __name__ == "__main__":
    main(prog_name="python -m training.spotify")
