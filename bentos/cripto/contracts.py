"""What a version of each of cripto's models must take and give."""

from bentos.cripto.messages import MODELS
from bentos.serving.release import Contract
from training.cripto.names import FEATURES, OUTPUTS

CONTRACTS = {
    f"cripto-{name.replace('_', '-')}": Contract(
        inputs=dict.fromkeys(FEATURES, "double"),
        outputs=dict.fromkeys(OUTPUTS[kind], "double"),
    )
    for name, kind in MODELS.items()
}
