"""What cripto answers."""

from typing import Literal

import msgspec

from bentos.web.app import VERSION

WELCOME = {
    "message": "Cripto Prediction API",
    "version": VERSION,
    "docs": "/docs",
    "health": "/health",
}
NO_SYMBOL = "Símbolo do ativo é obrigatório"
NOT_LOADED = "Modelos não carregados. Tente novamente em alguns segundos."
NO_PRICES = "Preços não carregados. Tente novamente em alguns segundos."
RELOADED = "Modelos recarregados com sucesso"

Kind = Literal["regressor", "classifier"]
MODELS: dict[str, Kind] = {
    "regressor_rf": "regressor",
    "regressor_gbr": "regressor",
    "regressor_lin": "regressor",
    "classifier_rf": "classifier",
    "classifier_log": "classifier",
}


class Health(msgspec.Struct):
    """The models that serve, with their versions."""

    status: Literal["healthy", "unhealthy"]
    models_loaded: bool
    total_models: int
    models: list[str]
    versions: dict[str, str]


class Models(msgspec.Struct):
    """The models that serve; `last_loaded` is when the latest began to, in UTC."""

    total_models: int
    models: list[str]
    versions: dict[str, str]
    last_loaded: str | None


class Reloaded(msgspec.Struct):
    """The models that serve after a look, and those among them that changed by it."""

    message: str
    total_models: int
    models: list[str]
    alterados: dict[str, str]


class Prediction(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The next day's close, or 1 for a rise and 0 for none with the probability of a rise.

    A model that fails has an `erro` instead.
    """

    predicao: float | int | None = None
    probabilidade: float | None = None
    modelo: str
    tipo: Kind
    versao: str | None = None
    erro: str | None = None


class Outlook(msgspec.Struct):
    """All five models on a coin, after the day `ultimo_dado`: the last with a known price."""

    ativo: str
    timestamp: str
    modelos: dict[str, Prediction]
    total_modelos: int
    ultimo_dado: str
    dados_sinteticos: bool
