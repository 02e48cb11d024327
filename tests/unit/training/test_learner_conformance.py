"""What every learner holds: a new one needs a case here, and nothing else."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, IntegrityError, RecipeError
from raypipe.models import ModelBundle, labelled_scores
from raypipe.models.forms import FORMS, scorer
from raypipe.serving.live import LiveVersion
from raypipe.training.checkpoints import Checkpoints, Saver
from raypipe.training.learner import Learner, learner_from
from raypipe.training.state import State

HERE = Path(__file__).parents[3]
SAMPLED = {"feature_fraction": 0.6, "feature_fraction_bynode": 0.8}
CASES: dict[str, Learner] = {
    "xgboost": rp.XGBoost(rounds=8, max_depth=3, params={"subsample": 0.7}),
    "xgboost-classes": rp.XGBoost(rounds=4, params={"objective": "multi:softprob"}),
    "lightgbm": rp.LightGBM(rounds=8, num_leaves=7, params=SAMPLED, metrics=("logloss", "auc")),
    "lightgbm-extra": rp.LightGBM(
        rounds=8,
        learning_rate=rp.Schedule(start=0.3, end=0.1),
        params={"extra_trees": True},
        monotone={"x": 1},
    ),
    "lightgbm-rows": rp.LightGBM(rounds=5, params={**SAMPLED, "pos_bagging_fraction": 0.5}),
    "lightgbm-classes": rp.LightGBM(objective="multiclass", rounds=4, params=SAMPLED),
    "lightgbm-number": rp.LightGBM(objective="poisson", rounds=5, metrics=("mae", "rmse")),
    "boosting": rp.Sklearn(estimator="HistGradientBoostingClassifier", params={"max_iter": 5}),
    "forest": rp.Sklearn(estimator="RandomForestClassifier", params={"n_estimators": 7}),
    "forest-classes": rp.Sklearn(
        estimator="RandomForestClassifier", classes=3, params={"n_estimators": 5}
    ),
    "extra-number": rp.Sklearn(estimator="ExtraTreesRegressor", params={"n_estimators": 5}),
    "gradient": rp.Sklearn(estimator="GradientBoostingRegressor", params={"n_estimators": 5}),
    "tree": rp.Sklearn(estimator="DecisionTreeClassifier", params={"max_depth": 4}),
    "logistic": rp.Sklearn(estimator="LogisticRegression", params={"C": 0.5}),
    "logistic-classes": rp.Sklearn(estimator="LogisticRegression", classes=3),
    "ridge": rp.Sklearn(estimator="Ridge"),
    "lasso": rp.Sklearn(estimator="Lasso", params={"alpha": 0.01}),
    "poisson": rp.Sklearn(estimator="PoissonRegressor"),
}
LABELS = {"binary": "two", "multiclass": "three", "regression": "count"}


def rows(seed: int, n: int = 700) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, n))
    signal = x - 0.5 * y * z + 0.5 * rng.normal(size=n)
    return pl.DataFrame(
        {
            "x": x,
            "y": y,
            "z": z,
            'odd "name" [1]': rng.random(n),
            "two": (signal > 0).astype(np.int64),
            "three": np.digitize(signal, [-0.7, 0.7]),
            "count": rng.poisson(np.exp(0.4 * signal)),
            "w": rng.random(n) + 0.1,
        }
    )


def fill(root: str) -> rp.Snapshot:
    lake = rp.Lake(root)
    for part in range(2):
        lake.table("rows").append(rows(part), batch_id=str(part))
    return lake.table("rows").at(version=2)


def trainer(name: str, **more: Any) -> rp.Trainer:
    learner = CASES[name]
    recipe = rp.Recipe(rp.transforms.select("x", "y", "z", 'odd "name" [1]'))
    settings = {"seed": 3, "weight": "w", "run_on": "local", "checkpoint_every": 1, **more}
    return rp.Trainer(recipe, label=LABELS[learner.task], learner=learner, **settings)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> rp.Snapshot:
    return fill(str(tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def runs(snapshot: rp.Snapshot) -> dict[str, rp.Run]:
    return {name: trainer(name).fit(snapshot, snapshot) for name in CASES}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What another process gives, with one thread and another seed of Python's hashes."""
    root = str(tmp_path_factory.mktemp("elsewhere"))
    fill(root)
    code = "import sys, json, raypipe as rp\n"
    code += "from tests.unit.training.test_learner_conformance import CASES, trainer\n"
    code += "at = rp.Lake(sys.argv[1]).table('rows').at(version=2)\n"
    code += "fit = lambda name: trainer(name, cpus_per_worker=1).fit(at, at)\n"
    code += "told = lambda run: [run.bundle.content_hash, run.history]\n"
    code += "print(json.dumps({name: told(fit(name)) for name in CASES}))"
    env = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code, root], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", CASES)
class TestLearner:
    """One conformance class."""

    def test_settings_are_a_value(self, name: str) -> None:
        learner = CASES[name]
        told = json.loads(json.dumps(learner.to_dict()))
        again = learner_from(told)
        assert again.to_dict() == learner.to_dict()
        assert type(again) is type(learner)
        assert learner.form in FORMS
        learner.check()

    def test_it_learns(self, name: str, runs: dict[str, rp.Run]) -> None:
        run, learner = runs[name], CASES[name]
        for data in ("train", "valid"):
            assert list(run.history[data]) == list(learner.metrics)
            assert all(len(v) == run.facts["rounds"] for v in run.history[data].values())
        figure, worst = {
            "binary": ("roc_auc", 0.7),
            "multiclass": ("multi_accuracy", 0.45),
            "regression": ("r2", 0.05),
        }[learner.task]
        fitted = run.bundle
        truth, scores = labelled_scores(fitted, run.valid)
        value = getattr(rp.metrics, figure)(truth, scores)
        assert value > worst
        assert run.bundle.manifest["learner"] == learner.to_dict()
        assert set(learner.packages) <= set(run.bundle.manifest["packages"])

    def test_threads_and_processes_change_no_byte_and_no_figure(
        self, name: str, runs: dict[str, rp.Run], elsewhere: dict[str, Any]
    ) -> None:
        assert elsewhere[name] == [runs[name].bundle.content_hash, runs[name].history]

    def test_a_run_goes_on_from_any_round_to_the_same_bytes(
        self, name: str, runs: dict[str, rp.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for at in {2, CASES[name].rounds - 1} if CASES[name].rounds > 1 else ():
            root = str(tmp_path / f"lake-{at}")
            snapshot = fill(root)
            with monkeypatch.context() as patch:

                def save(self: Saver, state: State, at: int = at) -> None:
                    if state.rounds <= at:
                        self._checkpoints.save(state)

                patch.setattr(Saver, "offer", save)
                patch.setattr(Checkpoints, "clear", lambda _: None)
                first = trainer(name).fit(snapshot, snapshot)
            shutil.rmtree(Path(root, "runs", first.id, "finished"))
            again = trainer(name).fit(snapshot, snapshot)
            assert again.facts["resumed_at"] == (at if CASES[name].takes.resumes else 0)
            assert again.bundle.content_hash == runs[name].bundle.content_hash
            assert again.history == runs[name].history

    def test_a_row_has_the_same_bits_alone_and_among_others(
        self, name: str, runs: dict[str, rp.Run]
    ) -> None:
        bundle, frame = runs[name].bundle, rows(9, 40)
        together = bundle.predict(frame)
        inputs = frame.select(list(bundle.recipe.inputs))
        alone = np.concatenate([bundle.predict(inputs[n : n + 1]) for n in range(40)])
        assert together.tobytes() == alone.tobytes()
        assert bundle.predict(inputs.rows(named=True)).tobytes() == together.tobytes()
        bundle.scorer.one_thread()
        assert bundle.predict(frame).tobytes() == together.tobytes()

    @pytest.mark.parametrize("where", ["train", "valid"])
    def test_an_infinite_feature_is_refused_and_named(
        self, name: str, snapshot: rp.Snapshot, where: str
    ) -> None:
        odd = snapshot.select(
            *(column for column in snapshot.schema if column != "y"),
            y=pl.when(pl.col("z") > 2).then(-1 / pl.lit(0.0)).otherwise("y"),
        )
        sets = (odd, snapshot) if where == "train" else (snapshot, odd)
        with pytest.raises(RecipeError, match=r"feature 'y' is infinite in a row: got -inf"):
            trainer(name).fit(*sets)

    def test_an_infinite_feature_of_a_request_is_scored_or_refused_in_our_words(
        self, name: str, runs: dict[str, rp.Run]
    ) -> None:
        """Trees know where a value beyond all that they have seen goes; a sum does not."""
        bundle = runs[name].bundle
        asked = rows(9, 3).with_columns(x=1 / pl.lit(0.0))
        if isinstance(CASES[name], rp.Sklearn):
            with pytest.raises(RecipeError, match="takes no infinite values"):
                bundle.predict(asked)
        else:
            assert np.isfinite(bundle.predict(asked)).all()

    def test_the_bundle_comes_back_and_damage_is_refused(
        self, name: str, runs: dict[str, rp.Run]
    ) -> None:
        bundle = runs[name].bundle
        files = bundle.to_files()
        again = ModelBundle.from_files(files.__getitem__)
        assert again.file == CASES[name].form
        frame = rows(4, 50)
        assert again.predict(frame).tobytes() == bundle.predict(frame).tobytes()
        model = files[again.file]
        assert not model.startswith(b"\x80")  # as a pickle does
        if zipfile.is_zipfile(io.BytesIO(model)):
            with zipfile.ZipFile(io.BytesIO(model)) as parts:
                for part in set(parts.namelist()) - {"schema.json"}:
                    np.load(io.BytesIO(parts.read(part)), allow_pickle=False)
        changed = {**files, again.file: model[:-7] + bytes([model[-7] ^ 1]) + model[-6:]}
        with pytest.raises(IntegrityError, match="not the file that was registered"):
            ModelBundle.from_files(changed.__getitem__)
        for damaged in (b"", model[: len(model) // 2], b"other bytes"):
            with pytest.raises(IntegrityError):
                scorer(again.file, damaged)

    def test_it_is_registered_served_and_rebuilt(
        self, name: str, runs: dict[str, rp.Run], snapshot: rp.Snapshot
    ) -> None:
        registry = rp.Registry(snapshot.lake)
        model = name.replace("-", "_")
        version = registry.register(model, runs[name])
        assert rp.reproduce(version).identical
        live = LiveVersion(version.version, registry.version(model, 1).bundle)
        asked = rows(4, 3).select(list(version.bundle.recipe.inputs)).rows(named=True)
        assert live.score(asked) == runs[name].bundle.predict(asked).tolist()


def test_the_model_is_that_of_plain_lightgbm(snapshot: rp.Snapshot) -> None:
    import lightgbm

    learner = rp.LightGBM(rounds=6, num_leaves=7)
    recipe = rp.Recipe(rp.transforms.select("x", "y", "z"))
    run = rp.Trainer(recipe, label="two", learner=learner, weight="w", run_on="local").fit(snapshot)
    frame = snapshot.frame()
    data = lightgbm.Dataset(
        frame.select(pl.col("x", "y", "z").cast(pl.Float32)).to_numpy(),
        label=frame["two"].to_numpy(),
        weight=frame["w"].to_numpy().astype(np.float32),
    )
    params = {"objective": "binary", "num_leaves": 7, "deterministic": True, "verbosity": -1}
    plain = lightgbm.train({**params, "force_row_wise": True}, data, num_boost_round=6)
    given = frame.select(pl.col("x", "y", "z").cast(pl.Float32)).to_numpy()
    assert run.bundle.predict(frame).tobytes() == np.asarray(plain.predict(given)).tobytes()


def test_ranking_by_lightgbm(snapshot: rp.Snapshot) -> None:
    lake = snapshot.lake
    frame = rows(7, 600).with_columns(
        query=pl.int_range(600) // 12, grade=pl.col("count").clip(0, 4)
    )
    lake.table("queries").append(frame)
    at = lake.table("queries").at()
    recipe = rp.Recipe(rp.transforms.select("x", "y", "z"))
    learner = rp.LightGBM(objective="lambdarank", rounds=10, num_leaves=7)
    run = rp.Trainer(
        recipe, label="grade", learner=learner, group="query", weight="w", run_on="local"
    ).fit(at, at)
    values = run.history["valid"]["ndcg@10"]
    assert values[-1] > values[0]
    assert run.metrics["ndcg@10"] == values[-1]


def test_early_stopping_by_lightgbm(snapshot: rp.Snapshot) -> None:
    made = trainer(
        "lightgbm-number",
        early_stopping=rp.EarlyStopping(patience=1, min_delta=0.02),
    )
    run = made.fit(snapshot, snapshot)
    assert run.facts["stopped_early"]
    kept = run.bundle.native.num_trees()
    assert kept < run.facts["rounds"] <= 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rp.LightGBM(objective="binray"), "Did you mean 'binary'"),
        (lambda: rp.LightGBM(params={"feature_fractoin": 0.5}), "Did you mean 'feature_fraction'"),
        (lambda: rp.LightGBM(params={"boosting": "dart"}), "could not go on"),
        (lambda: rp.LightGBM(params={"seed": 1}), "Trainer\\(seed=\\)"),
        (lambda: rp.LightGBM(metrics=("rmse",)), "does not suit binary"),
        (lambda: rp.LightGBM(num_leaves=1), "num_leaves"),
        (lambda: rp.LightGBM(learning_rate="0.1"), "learning_rate must be in"),  # type: ignore[arg-type]
        (lambda: rp.LightGBM(params={"bagging_fraction": 7.0}).check(), "LightGBM refuses"),
        (lambda: rp.Sklearn(estimator="SVC"), "unsupported estimator"),
        (lambda: rp.Sklearn(estimator="RandomForrestClassifier"), "Did you mean"),
        (lambda: rp.Sklearn(estimator="Ridge", params={"random_state": 1}), "raypipe sets"),
        (lambda: rp.Sklearn(estimator="Ridge", params={"alpha": object()}), "plain JSON"),
        (
            lambda: rp.Sklearn(estimator="Ridge", params={"alhpa": 1}),
            "Ridge has no such parameter: got alhpa. Did you mean 'alpha'",
        ),
        (lambda: rp.Sklearn(estimator="LogisticRegression", params={"cc": 1}), "no such parameter"),
        (lambda: rp.Sklearn(estimator="Ridge", params={"alpha": -1}).check(), "refuses the param"),
        (lambda: trainer("lightgbm", num_workers=2), "all rows in one process"),
        (lambda: trainer("forest", base_margin="w"), "no base margin"),
        (lambda: trainer("forest", early_stopping=rp.EarlyStopping()), "cannot stop early"),
    ],
)
def test_bad_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_missing_values_and_labels_that_do_not_suit(snapshot: rp.Snapshot) -> None:
    lake = snapshot.lake
    gaps = rows(3).with_columns(x=pl.when(pl.col("y") > 1).then(None).otherwise("x"))
    lake.table("gaps").append(gaps)
    with pytest.raises(RecipeError, match="takes no missing values: got feature x is missing"):
        trainer("logistic").fit(lake.table("gaps").at())
    run = trainer("boosting").fit(lake.table("gaps").at())
    assert np.isfinite(run.bundle.predict(gaps.head(50))).all()
    bundle = trainer("logistic").fit(snapshot).bundle
    with pytest.raises(RecipeError, match="takes no missing values"):
        bundle.predict(gaps.filter(pl.col("x").is_null()).head(1))
    with pytest.raises(RecipeError, match="must be 0, 1 or null"):
        rp.Trainer(
            rp.Recipe(rp.transforms.select("x")), label="three", learner=CASES["forest"]
        ).fit(snapshot)


@pytest.mark.parametrize("classes", [3, 4])
def test_a_class_of_an_estimator_without_a_row(snapshot: rp.Snapshot, classes: int) -> None:
    learner = rp.Sklearn(estimator="RandomForestClassifier", classes=classes)
    label = "two" if classes == 3 else "three"
    with pytest.raises(RecipeError, match=f"no row of a class: got class {classes - 1}"):
        rp.Trainer(
            rp.Recipe(rp.transforms.select("x")), label=label, learner=learner, run_on="local"
        ).fit(snapshot)


def test_a_file_that_would_build_something_else_is_refused() -> None:
    import skops.io

    class Odd:
        pass

    with pytest.raises(IntegrityError, match="not trusted"):
        scorer("model.skops", skops.io.dumps({"a": Odd()}))


@pytest.mark.parametrize("library", ["lightgbm", "sklearn", "skops"])
def test_a_library_that_is_absent_is_named_with_its_extra(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None\n"
    code += "import raypipe as rp\n"
    code += (
        "learner = rp.LightGBM() if sys.argv[1] == 'lightgbm' else "
        "rp.Sklearn(estimator='Ridge', params={sys.argv[2]: 1})\n"
    )
    code += "try: learner.check()\n"
    code += "except rp.errors.MissingPartError as error: print(error)"
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    param = "alhpa" if library == "sklearn" else "alpha"  # without the library nobody can tell
    call = [sys.executable, "-c", code, library, param]
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=True)
    extra = "lightgbm" if library == "lightgbm" else "sklearn"
    assert f"pip install 'raypipe[{extra}]'" in done.stdout


def test_fits_do_not_overlap_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fit sets for the whole process is as it was when all are done."""
    from raypipe.training import estimator_session as at
    from raypipe.training.feeding import Batch

    inside: list[int] = [0, 0]

    class Slow:
        def fit(self, *_: Any, **__: Any) -> None:
            inside[0] += 1
            inside[1] = max(inside)
            time.sleep(0.05)
            inside[0] -= 1

        def get_params(self) -> dict[str, Any]:
            return {}

    monkeypatch.setattr(at, "to_bytes", lambda _: b"")
    batch = Batch(np.zeros((2, 1), np.float32), np.zeros(2, np.float32))
    threads = [threading.Thread(target=at.fitted, args=(Slow(), batch, 1)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert inside == [0, 1]
