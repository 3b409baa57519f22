"""What the tests of itransformer share beside their service: answers that refuse."""

import httpx

NOT_AUTHORIZED = "No autorizado. Clave de administración incorrecta o ausente."


def detail(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])
