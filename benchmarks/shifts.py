"""Known shifts of real readings and songs, as they are told: `python -m benchmarks.shifts`.

Needs the files of ../shared/data. It prints a table of the columns that shift most.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bentos.serving.drift import Drift
from tests.drift import real
from training.spotify.features import UNKNOWN

Shift = Callable[[pd.DataFrame], pd.DataFrame]
READINGS: dict[str, Shift] = {
    "held out": lambda rows: rows,
    "pressure 1.5 times": lambda rows: rows.assign(presion=1.5 * rows["presion"]),
    "temperature 2 degrees up": lambda rows: rows.assign(temperatura=rows["temperatura"] + 2),
    "temperature always 0": lambda rows: rows.assign(temperatura=0.0),
    "a tenth without volume": lambda rows: rows.assign(
        volumen=rows["volumen"].where(rows.index % 10 != 0, 0.0)
    ),
}
SONGS: dict[str, Shift] = {
    "held out": lambda rows: rows,
    "3 of 10 of a new genre": real.with_polka,
    "without artists": lambda rows: rows.assign(artists=UNKNOWN),
    "6 dB louder": lambda rows: rows.assign(loudness=rows["loudness"] + 6),
}


def main() -> None:
    """Shift, count and print."""
    print("| | rows | greatest PSI | next | of the answers | unknown | outside |")
    print("|---|--:|---|---|---|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        gas, music = real.gas(Path(folder)), real.music(Path(folder))
    for name, shift in READINGS.items():
        _show(f"contugas, {name}", gas.of_readings(shift(gas.held.reset_index(drop=True))))
    for name, shift in SONGS.items():
        _show(f"spotify, {name}", music.of_songs(shift(music.held)))


def _show(title: str, found: Drift) -> None:
    ranked = sorted(found.columns, key=lambda name: -(found.columns[name].psi or 0))
    worst = found.columns[ranked[0]]
    first, second = (f"{found.columns[n].psi:.3f} {n}" for n in ranked[:2])
    answers = ", ".join(f"{column.psi:.3f} {name}" for name, column in found.outputs.items())
    unknown, outside = (
        "" if share is None else f"{share:.3f}" for share in (worst.unknown, worst.outside)
    )
    print(f"| {title} | {found.rows} | {first} | {second} | {answers} | {unknown} | {outside} |")


if __name__ == "__main__":
    main()
