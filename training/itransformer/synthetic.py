"""Made series, for when there is no file: seeded, and called synthetic wherever they show."""

import numpy as np
import pandas as pd

from training.data import Dataset, synthetic_dataset
from training.itransformer.frames import DATE
from training.itransformer.settings import Synthetic


def synthetic(size: Synthetic) -> Dataset:
    """Hourly load (kW), outdoor temperature and its humidity: days, weeks, and slow weather."""
    rng = np.random.default_rng(size.seed)
    hour = np.arange(size.rows)
    day = np.sin(2 * np.pi * (hour - 9) / 24)
    weather = np.convolve(rng.normal(0, 0.5, size.rows + 47), np.ones(48) / 48**0.5, "valid")
    temperature = 18 + 5 * day + 3 * weather + rng.normal(0, 0.4, size.rows)
    humidity = 60 - 2 * (temperature - 18) + rng.normal(0, 2, size.rows)
    working = np.where(hour // 24 % 7 < 5, 1.0, 0.6)
    load = working * (300 + 90 * day) + 4 * (temperature - 18) + rng.normal(0, 6, size.rows)
    table = pd.DataFrame(
        {
            DATE: pd.date_range("2024-01-01", periods=size.rows, freq="h"),  # a Monday
            "carga": load.round(2),
            "temperatura": temperature.round(2),
            "humedad": humidity.round(1),
        }
    )
    return synthetic_dataset("itransformer", size.seed, table)
