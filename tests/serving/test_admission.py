"""Every refusal, each by a real bad version in the real registry while the one before serves."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from bentos.admission.judge import check_libraries
from bentos.admission.pins import alike
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.tensors import BadInput
from tests.admission.judged import BY_SCHEMA, admitted
from tests.serving import versions
from tests.serving.bad_models import TREE, answers
from tests.serving.bad_versions import (
    BAD,
    Bad,
    changed_byte,
    code_folder,
    no_digest_tag,
    no_samples,
    no_signature,
    pickled_as_usual,
    unsigned,
)
from tests.serving.servers import Server, Store
from tests.serving.service import Service, serving
from tests.serving.versions import INPUTS, Bench, Shelf, line, signed


@pytest.fixture
def bench(shelf: Shelf, store: Store, tmp_path: Path) -> Bench:
    return Bench(shelf, store, tmp_path / "model")


@pytest.fixture
def follow(shelf: Shelf, server: Server, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """A service that already serves a good version, number 1."""
    shelf.promote(shelf.add(slope=10.0))
    open_services = []

    def started(**admission: Any) -> Service:
        context = serving(shelf.name, tmp_path / "home", server.url)
        open_services.append(context)
        service = context.__enter__()
        service.look()
        assert service.ask() == (20.0, "1")
        if admission:
            given = service.settings.admission.model_copy(update=admission)
            changed = service.settings.model_copy(update={"admission": given})
            for follower in service.watcher.followed.followers:
                follower._store._settings = changed
        return service

    yield started
    for context in open_services:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_refusal(bad: Bad, bench: Bench, follow: Callable[..., Service]) -> None:
    service = follow(**bad.admission)
    with service.asked() as heard:
        version = bad.make(bench)
        bench.shelf.promote(version)
        service.look()
    assert set(heard) == {(20.0, "1")}
    refused = service.slot.report()["refused"]
    assert (refused.version, refused.reason) == (version.version, bad.reason)
    tags = bench.shelf.version(version.version)
    assert tags.tag("serving.state") == "refused"
    assert tags.tag("serving.reason") == f"{bad.reason}: {refused.message}"
    assert tags.tag("serving.replicas") == "0"
    assert bench.shelf.version(1).tag("serving.state") == "live"
    with pytest.raises(Refusal, match=f"(?s){bad.message}"):
        raise Refusal(bad.reason, refused.message)
    assert service.history()[-1] == ("refusal", version.version)


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (unsigned, ["no ascenso/manifest.json", "sample inputs"]),
        (no_digest_tag, ["tag ascenso.digest"]),
        (no_samples, ["sample inputs"]),
        (no_signature, ["no signature"]),
    ],
)
def test_unsigned_versions_serve_with_a_warning_where_that_is_configured(
    make: Callable[[Bench], Version],
    missing: list[str],
    bench: Bench,
    follow: Callable[..., Service],
) -> None:
    service = follow(unsigned="warn")
    bench.shelf.promote(make(bench))
    service.look()
    assert service.ask() == (2.0, "2")
    found = service.slot.report()["live"]["warnings"]
    assert all(any(part in warning for warning in found) for part in missing)
    reason = bench.shelf.version(2).tag("serving.reason")
    assert all(part in reason for part in missing)


def test_warnings_are_for_what_is_missing_only(
    bench: Bench, follow: Callable[..., Service]
) -> None:
    service = follow(unsigned="warn")
    for make in (
        changed_byte,
        pickled_as_usual,
        answers(line(1.5), as_if=line(1.0)),
    ):
        shutil.rmtree(bench.folder, ignore_errors=True)
        bench.shelf.promote(make(bench))
        service.look()
        assert service.ask() == (20.0, "1")


def test_code_of_a_listed_model(bench: Bench, follow: Callable[..., Service]) -> None:
    service = follow(allow_code=[bench.shelf.name])
    bench.shelf.promote(code_folder(bench))
    service.look()
    assert service.ask() == (2.0, "2")  # the flavor's loader needs none of it, and imports none


@pytest.mark.parametrize("rule", ["any", "minor", "exact"])
def test_library_rules(rule: str) -> None:
    def near(trained: str) -> bool:
        from sklearn import __version__

        parts = [__version__.split(".")[:keep] for keep in (1, 2, 3)]
        then = {
            "major": f"{parts[0][0]}.999.0",
            "minor": f"{'.'.join(parts[1])}.999",
            "same": __version__,
            "older": "0.1.0",
        }[trained]
        try:
            check_libraries({"scikit-learn": then}, {"scikit-learn": rule})  # type: ignore[dict-item]
        except Refusal:
            return False
        return True

    near_enough = {name for name in ("older", "major", "minor", "same") if near(name)}
    assert (
        near_enough
        == {
            "any": {"older", "major", "minor", "same"},
            "minor": {"minor", "same"},
            "exact": {"same"},
        }[rule]
    )


def test_a_good_version_is_admitted(tmp_path: Path) -> None:
    release = admitted(signed(line(3.0), tmp_path / "model"))
    np.testing.assert_allclose(release.predict(np.array([[2.0]])), [6.0])
    assert release.runs == "onnx"
    assert 0 < release.row_seconds < 1
    assert release.warnings == ()
    again = admitted(signed(line(3.0), tmp_path / "again"), compile=False)
    assert again.runs == "native"


def test_a_graph_refuses_what_its_model_would(tmp_path: Path) -> None:
    """Rows near the samples are categories that it never saw."""
    model = make_pipeline(OneHotEncoder(), LinearRegression())
    model.fit(INPUTS.to_numpy(), INPUTS["x"])
    release = admitted(signed(model, tmp_path / "model"))
    assert release.runs == "onnx"
    with pytest.raises(BadInput, match="column 0 is a category that the model does not know"):
        release.predict(np.array([[0.5]]))


def test_missing_values_that_no_sample_has_are_answered_as_the_model_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 1))
    target = np.where(np.isnan(rows[:, 0]), 5.0, rows[:, 0])
    rows[::5] = np.nan
    target[::5] = 5.0
    forest = RandomForestRegressor(10, random_state=0).fit(rows, target)
    release = admitted(signed(forest, tmp_path / "model", skops_trusted_types=TREE))
    assert release.runs == "onnx"
    np.testing.assert_allclose(release.predict(rows), forest.predict(rows), rtol=1e-12)


def test_rows_half_way_between_those_of_the_training_are_routed_alike(tmp_path: Path) -> None:
    grid = np.arange(200.0)[:, None]
    model = make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=0))
    model.fit(grid, grid[:, 0] ** 2)
    release = admitted(signed(model, tmp_path / "model", skops_trusted_types=TREE))
    assert release.runs == "onnx"
    assert "rows are answered alike" in release.note
    between = np.concatenate([grid, grid + 0.5, np.nextafter(grid + 0.5, 0)])
    np.testing.assert_array_equal(release.predict(between), model.predict(between))


def test_a_signed_version_stays_signed_where_its_schema_is_asked(tmp_path: Path) -> None:
    folder = signed(line(3.0), tmp_path / "model")
    assert admitted(folder, BY_SCHEMA).schema
    (folder / "ascenso" / "manifest.json").write_text("{}")
    with pytest.raises(Refusal, match=r"manifest\.json cannot be read"):
        admitted(folder, BY_SCHEMA)


def test_answers_are_those_of_the_first_admission(tmp_path: Path) -> None:
    versions.save(line(3.0), tmp_path / "model")
    first = admitted(tmp_path / "model", BY_SCHEMA)
    noted = json.loads(first.answers)
    again = admitted(tmp_path / "model", BY_SCHEMA, answers=first.answers)
    assert again.answers == first.answers
    name, number = next(iter(noted["answers"][1].items()))
    noted["answers"][1][name] = number * (1 + 1e-7)  # as another machine may
    admitted(tmp_path / "model", BY_SCHEMA, answers=json.dumps(noted))
    noted["answers"][1][name] = number * 1.01
    with pytest.raises(Refusal, match=r"at its first admission: .*, and then it was"):
        admitted(tmp_path / "model", BY_SCHEMA, answers=json.dumps(noted))
    noted["rows"][0] = {"other": 1.0}
    with pytest.raises(Refusal, match="samples cannot be asked now: row 0: unknown col"):
        admitted(tmp_path / "model", BY_SCHEMA, answers=json.dumps(noted))


@pytest.mark.parametrize(
    ("now", "same"), [(3e-5, True), (6e-4, False), (-20.001, False), ("0", False)]
)
def test_answers_of_another_machine_are_measured_by_the_largest(now: object, same: bool) -> None:
    assert alike([{"p": [now, 20.0]}], [{"p": [1e-7, 20.0]}], 2e-4) is same


def test_files_are_those_of_the_first_admission(tmp_path: Path) -> None:
    versions.save(line(3.0), tmp_path / "model")
    first = admitted(tmp_path / "model", BY_SCHEMA)
    again = admitted(tmp_path / "model", BY_SCHEMA, pin=first.files)
    assert (again.files, again.runs, again.note) == (first.files, first.runs, first.note)
    (tmp_path / "model" / "conda.yaml").write_text("name: other\n")
    with pytest.raises(Refusal, match=f"at the first admission they were {first.files}"):
        admitted(tmp_path / "model", BY_SCHEMA, pin=first.files)
