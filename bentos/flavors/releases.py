"""Which release of scikit-learn wrote a version, where another one runs here."""

from importlib.metadata import version as installed

from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal


def written_by(mlmodel: MLmodel) -> str:
    """The release of scikit-learn of a version, or nothing where the same minor one runs here."""
    found = str(mlmodel.flavors.get("sklearn", {}).get("sklearn_version", ""))
    return found if found and _minor(found) != _minor(installed("scikit-learn")) else ""


def of_another(mlmodel: MLmodel, error: Exception) -> Refusal | None:
    """The refusal of a version that does not work in the release that runs here, if it is so."""
    found = written_by(mlmodel)
    if not found:
        return None
    here = installed("scikit-learn")
    return Refusal(
        "library",
        f"scikit-learn {found} wrote it, {here} runs here, and with that it fails "
        f"({type(error).__name__}: {error}): train it again with {_minor(here)}",
    )


def _minor(release: str) -> str:
    return ".".join(release.split(".")[:2])
