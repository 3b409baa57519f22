import pytest
import torch
from torch import Tensor

from tests.training.itransformer.conftest import SMALL
from training.itransformer.model import MARKS, Dropout, ITransformer
from training.itransformer.settings import Recipe


@pytest.fixture
def network() -> ITransformer:
    torch.manual_seed(0)
    return ITransformer(SMALL).eval()


def windows(series: int, batch: int = 5) -> Tensor:
    torch.manual_seed(2)
    return torch.randn(batch, SMALL.seq_len, series + MARKS)


def move(rows: Tensor, scale: float, shift: float) -> Tensor:
    return torch.cat([rows[..., :-MARKS] * scale + shift, rows[..., -MARKS:]], dim=2)


@pytest.mark.parametrize("series", [1, 3, 20])
def test_any_number_of_series_is_forecast(network: ITransformer, series: int) -> None:
    assert network(windows(series)).shape == (5, SMALL.pred_len, series)


def test_level_and_spread_of_a_window_come_back(network: ITransformer) -> None:
    """Where a window's variance is large beside the epsilon, the answer moves with the window."""
    rows = windows(3)
    answer = network(rows)
    torch.testing.assert_close(
        network(move(rows, 100.0, 7.0)), answer * 100 + 7, rtol=1e-3, atol=1e-3
    )


def test_a_flat_window_is_no_trouble(network: ITransformer) -> None:
    rows = windows(2)
    rows[..., 0] = 4.0
    answer = network(rows)
    assert answer.isfinite().all()
    assert (answer[..., 0] - 4.0).abs().max() < 0.1


def test_series_have_no_order(network: ITransformer) -> None:
    rows = windows(4)
    order = torch.tensor([2, 0, 3, 1])
    mixed = torch.cat([rows[..., order], rows[..., -MARKS:]], dim=2)
    torch.testing.assert_close(network(mixed), network(rows)[..., order])


def test_series_and_marks_are_looked_at(network: ITransformer) -> None:
    rows = windows(3)
    answer = network(rows)
    for column in (1, 3):  # another series, and a mark
        other = rows.clone()
        other[..., column] = other[..., column].flip(1)
        assert (network(other)[..., 0] - answer[..., 0]).abs().max() > 1e-4


def test_a_batch_answers_as_its_windows_do(network: ITransformer) -> None:
    rows = windows(3, batch=16)
    alone = torch.cat([network(row[None]) for row in rows])
    torch.testing.assert_close(network(rows), alone, rtol=1e-5, atol=1e-5)


def test_dropout_is_only_for_training(network: ITransformer) -> None:
    rows = windows(3)
    assert torch.equal(network(rows), network(rows))
    network.train()
    assert not torch.equal(network(rows), network(rows))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share(share: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(share)(torch.ones(999, 1001))
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=2e-3)
    assert dropped.mean().item() == pytest.approx(1, abs=1e-2)
    torch.testing.assert_close(dropped.max().item(), 1 / (1 - share), rtol=1e-6, atol=0)
    both = (dropped == 0).float()
    assert (both[:, 1:] * both[:, :-1]).mean().item() == pytest.approx(share**2, abs=3e-3)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="`d_model` is 15: it must be a multiple of `n_heads` 2"):
        Recipe(d_model=15, n_heads=2)
