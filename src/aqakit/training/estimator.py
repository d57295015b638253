"""A run in the shape of scikit-learn's regressors, for its cross-validation, grids and pipelines.

``fit`` trains a run on everything that it is given; the members of the run hold out their parts, as always. What is
fitted is the run folder. An estimator that was pickled carries the folder with it.
"""

from __future__ import annotations

import csv
import tempfile
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data

from aqakit import discovery
from aqakit.errors import DataError, OptionError
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training.run import Run
from aqakit.training.train import train
from aqakit.types import Floats, Sample

_FEWEST = 3
"""Recordings that can be fitted: as many as more than one member needs."""

_OWN = ("method", "backbone", "out")
"""Parameters that are no options of the method, the run or training."""


class AqaRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a method to scores, and predict scores with their distribution.

    >>> from aqakit import AqaRegressor
    >>> AqaRegressor("usdl", epochs=50, bins=21).get_params()
    {'method': 'usdl', 'backbone': None, 'out': None, 'epochs': 50, 'bins': 21}

    Args:
        method: name of the method.
        backbone: as ``name:option=value``; needed for recordings. Arrays are features already.
        out: folder for the run; None for a temporary one that goes with the estimator. A folder with a run of other
            data is refused.
        options: options of the method, the run and training, as of :func:`aqakit.train`.

    Attributes:
        run_: the fitted run.
        n_features_in_: of features (n, D), D.
    """

    def __init__(
        self, method: str = "dae", backbone: str | None = None, out: Path | str | None = None, **options: Any
    ) -> None:
        self.method, self.backbone, self.out = method, backbone, out
        for name, value in options.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all parameters, options too; ``deep`` changes nothing."""
        chosen = {n: v for n, v in vars(self).items() if not n.startswith("_") and not n.endswith("_")}
        return {name: chosen.pop(name) for name in _OWN} | chosen

    def set_params(self, **params: Any) -> Self:
        """Set parameters; options may be new ones. Whether there are such options is checked by :meth:`fit`."""
        for name, value in params.items():
            if not name.isidentifier() or name.startswith("_") or name.endswith("_"):
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}; it is no name of an option")
            setattr(self, name, value)
        return self

    def fit(self, X: Any, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        """Train a run.

        Args:
            X: paths of n recordings; or features (n, D), or (n, N, D) of N clips each.
            y: (n,) their scores.
            groups: (n,) who or what must not be on both sides when members hold out samples, such as the athlete.

        Raises:
            ValueError: X, y or groups cannot be used; of scikit-learn.
            AqakitError: an option is unknown, or a recording cannot be read.
        """
        paths = _paths(X)
        if paths is None:
            X, y = validate_data(
                self, X, y, dtype=np.float64, allow_nd=True, y_numeric=True, ensure_min_samples=_FEWEST
            )
            self.n_features_in_ = X.shape[-1]  # scikit-learn takes the number of clips for it
        scores = column_or_1d(np.asarray(y, dtype=np.float64))
        check_consistent_length(X, scores, groups)
        self._folder = tempfile.TemporaryDirectory(prefix="aqakit-")
        place = Path(self._folder.name)
        options = {name: value for name, value in self.get_params().items() if name not in _OWN}
        if paths is None:
            paths = _stored(place, np.asarray(X, np.float32))
            options |= {"backbone": self.backbone or f"precomputed:width={X.shape[-1]}", "cache": place / "cache"}
        else:
            options["backbone"] = _needed(self.backbone, paths)
        manifest = _manifest(place / "manifest.csv", _reads(options["backbone"]), paths, scores, groups)
        chosen = {"protocol": "all"} | options
        run = train(self.method, data="manifest", root=manifest, out=self.out or place / "run", **chosen)
        self._run = run
        return self

    @property
    def run_(self) -> Run:
        """The fitted run."""
        check_is_fitted(self)
        return self._run

    def predict_distribution(self, X: Any) -> ScoreDistribution:
        """Return the calibrated distributions (n,) of recordings or features.

        Raises:
            ValueError: the features have another shape than those of ``fit``; of scikit-learn.
            AqakitError: a recording cannot be read.
        """
        check_is_fitted(self)
        paths = _paths(X)
        if paths is not None:
            return self._run.predict(paths).distribution
        if getattr(X, "ndim", 0) == 3:
            features = check_array(X, dtype=np.float64, allow_nd=True)
        else:
            features = validate_data(self, X, reset=False, dtype=np.float64)
        ((name, backbone),) = self._run.backbones.items()
        if features.shape[-1:] != backbone.shape:
            raise ValueError(f"X has features of width {features.shape[-1]}, but {backbone.shape[0]} were fitted")
        samples = [Sample(id=str(k), sources={}) for k in range(len(features))]
        clips = [torch.from_numpy(_clips(one).astype(np.float32)) for one in features]
        return self._run.answer(self._run.collate(samples, {name: clips}))

    def predict(self, X: Any, return_std: bool = False) -> Floats | tuple[Floats, Floats]:
        """Return the predicted scores (n,), and with ``return_std`` their standard deviations (n,) too."""
        answer = self.predict_distribution(X)
        mean = answer.mean.double().numpy()
        return (mean, answer.std.double().numpy()) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_run" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters and, if it is fitted, the files of the run."""
        state: dict[str, Any] = dict(super().__getstate__())
        run, _ = state.pop("_run", None), state.pop("_folder", None)
        files = run.folder.iterdir() if run else ()
        return state | {"_files": {file.name: file.read_bytes() for file in files if file.is_file()}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        files = state["_files"]
        super().__setstate__({name: value for name, value in state.items() if name != "_files"})
        if files:
            self._folder = tempfile.TemporaryDirectory(prefix="aqakit-")
            for name, content in files.items():
                (Path(self._folder.name) / name).write_bytes(content)
            self._run = Run.load(self._folder.name)


def _paths(X: Any) -> list[Path] | None:
    """Return recordings, if they are given by their paths; None for numbers."""
    values = X if isinstance(X, list | tuple) else X.tolist() if getattr(X, "ndim", 0) == 1 else []
    named = [isinstance(one, str | Path) for one in values]
    return [Path(one) for one in values] if named and all(named) else None


def _needed(backbone: str | None, paths: Sequence[Path]) -> str:
    if backbone is None:
        raise OptionError("recordings need a backbone, such as backbone='movement:dimensions=2'; arrays need none")
    if missing := next((path for path in paths if not path.exists()), None):
        raise DataError(f"{missing}: no such file or folder")
    return backbone


def _reads(backbone: str) -> str:
    """The kind of recording that a backbone reads, without building it."""
    build = discovery.find("backbones", discovery.parse_spec(backbone)[0]).build
    kind: str = typing.get_type_hints(build)["return"].reads
    return kind


def _clips(features: NDArray[Any]) -> NDArray[Any]:
    """(D,) features are one clip (1, D)."""
    return features[None] if features.ndim == 1 else features


def _stored(place: Path, features: NDArray[np.float32]) -> list[Path]:
    """Write features to a file for each recording."""
    if features.ndim not in (2, 3):
        raise ValueError(f"Found array with dim {features.ndim}; features are (n, D), or (n, N, D) of N clips each")
    folder = place / "features"
    folder.mkdir()
    files = [folder / f"{k}.npy" for k in range(len(features))]
    for file, one in zip(files, features, strict=True):
        np.save(file, _clips(one))
    return files


def _manifest(file: Path, kind: str, paths: Sequence[Path], scores: Floats, groups: Sequence[Any] | None) -> Path:
    owners = [""] * len(paths) if groups is None else [f"group {one}" for one in groups]
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", kind, "score", "group"])
        rows = zip(paths, scores.tolist(), owners, strict=True)
        writer.writerows([k, path.absolute(), repr(score), owner] for k, (path, score, owner) in enumerate(rows))
    return file
