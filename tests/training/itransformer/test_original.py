import pytest
import torch

from benchmarks.plain import Plain
from tests.training.itransformer.conftest import SMALL
from training.errors import InputError
from training.itransformer.forecaster import assemble
from training.itransformer.model import MARKS, ITransformer
from training.itransformer.original import architecture, from_original, to_original


def test_weights_of_the_papers_code_answer_the_same() -> None:
    torch.manual_seed(0)
    plain = Plain(SMALL).eval()
    state = from_original(plain.state_dict())
    ours = assemble(state, architecture(state, SMALL.n_heads))
    rows = torch.randn(4, SMALL.seq_len, 5 + MARKS)
    torch.testing.assert_close(ours(rows), plain(rows), rtol=1e-4, atol=1e-5)


def test_there_and_back() -> None:
    state = ITransformer(SMALL).state_dict()
    again = from_original(to_original(state))
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert architecture(again, SMALL.n_heads, SMALL.dropout) == SMALL.architecture()


def test_the_head_has_a_second_name() -> None:
    state = to_original(ITransformer(SMALL).state_dict())
    renamed = {name.replace("projector", "projection"): value for name, value in state.items()}
    assert from_original(renamed).keys() == from_original(state).keys()


def test_foreign_weights_are_named() -> None:
    state = to_original(ITransformer(SMALL).state_dict())
    with pytest.raises(InputError, match=r"hold 'decoder.weight', which an iTransformer does not"):
        from_original(state | {"decoder.weight": torch.ones(1)})
    del state["encoder.norm.bias"]
    with pytest.raises(InputError, match=r"lack 'encoder.norm.bias'"):
        from_original(state)
    with pytest.raises(InputError, match="tell no architecture"):
        architecture({"embed.weight": torch.ones(2, 3)}, 8)
    ours = ITransformer(SMALL).state_dict()
    with pytest.raises(InputError, match="must be a multiple of `n_heads` 3"):
        architecture(ours, n_heads=3)
