import msgspec
import pytest
import torch

from benchmarks import plain
from tests.training.itransformer.conftest import SMALL
from training.itransformer.frames import Series
from training.itransformer.original import to_original
from training.itransformer.plan import Plan, plan_training
from training.itransformer.recipe import Cancelled, Epoch, evaluate, fit, naive
from training.itransformer.settings import Recipe
from training.itransformer.windows import Windows


def changed(**values: float) -> Recipe:
    return msgspec.structs.replace(SMALL, **values)


def train(plan: Plan) -> list[Epoch]:
    seen: list[Epoch] = []
    parts = plan.split
    epochs = fit(plan.network, parts.train, parts.validation, plan.recipe, seen.append)
    assert seen == epochs
    return epochs


def losses(epochs: list[Epoch]) -> list[tuple[float, float]]:
    return [(epoch.train_loss, epoch.val_loss) for epoch in epochs]


def test_it_learns(series: Series) -> None:
    plan = plan_training(series, changed(epochs=10))
    before = evaluate(plan.network, plan.split.test).mse
    epochs = train(plan)
    assert [epoch.number for epoch in epochs] == list(range(1, len(epochs) + 1))
    assert epochs[-1].train_loss < epochs[0].train_loss
    reached = evaluate(plan.network, plan.split.test).mse
    assert reached < before / 2
    assert reached < naive(plan.split.test).mse / 2


def test_a_seed_decides_all(series: Series) -> None:
    first, again = (losses(train(plan_training(series, SMALL))) for _ in range(2))
    assert first == again
    assert losses(train(plan_training(series, changed(seed=5)))) != first


def test_the_best_epoch_is_kept_and_patience_ends(series: Series) -> None:
    """With a rate that spoils, training stops early and gives back its best weights."""
    plan = plan_training(series, changed(epochs=40, learning_rate=0.5, patience=2))
    epochs = train(plan)
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    assert len(epochs) == best.number + 2 < 40
    assert not plan.network.training
    assert evaluate(plan.network, plan.split.validation).mse == pytest.approx(best.val_loss)


def test_it_stops_when_asked(series: Series) -> None:
    plan = plan_training(series, SMALL)
    asked = iter([False, False, True])
    parts = plan.split
    seen: list[Epoch] = []
    with pytest.raises(Cancelled):
        fit(
            plan.network,
            parts.train,
            parts.validation,
            SMALL,
            seen.append,
            lambda: next(asked),
        )
    assert not seen


def test_the_last_value_repeated() -> None:
    rows = torch.arange(10.0)[:, None].expand(10, 6).contiguous()  # two series that climb by 1
    errors = naive(Windows(rows, seq_len=4, pred_len=2))
    assert errors.mse == pytest.approx((1 + 4) / 2)
    assert errors.mae == pytest.approx((1 + 2) / 2)


def test_speed_changed_no_result(series: Series) -> None:
    """Without dropout, a plain training of the same batches reaches the same losses."""
    recipe = changed(dropout=0.0, epochs=1, batch_size=16)
    plan = plan_training(series, recipe)
    peer = plain.Plain(recipe)
    peer.load_state_dict(to_original(plan.network.state_dict()))
    (epoch,) = train(plan)
    expected = plain.train_epoch(peer, plan.split.train, recipe)
    assert epoch.train_loss == pytest.approx(expected, rel=1e-4)
    expected = plain.validate(peer, plan.split.validation, recipe)
    assert epoch.val_loss == pytest.approx(expected, rel=1e-3)


def test_fewer_windows_than_a_batch_are_one_batch(series: Series) -> None:
    plan = plan_training(series, changed(batch_size=4096))
    assert len(train(plan)) == SMALL.epochs


def test_a_seed_decides_the_first_weights(series: Series) -> None:
    one, other = (plan_training(series, SMALL).network.state_dict() for _ in range(2))
    assert all(torch.equal(other[name], value) for name, value in one.items())
