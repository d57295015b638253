"""Read and write the files of a run folder, with a clear error for each way in which a file can be damaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import RunError, WeightsError
from aqakit.metrics.description import evaluate as judge
from aqakit.metrics.description import sentence
from aqakit.scores import recalibration
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution, restore
from aqakit.scores.recalibration import Recalibration
from aqakit.system import tensors as storage
from aqakit.system.numbers import is_number
from aqakit.system.tensors import DamagedError
from aqakit.training import run_json
from aqakit.training.batches import BatchSource
from aqakit.training.collating import collate
from aqakit.training.ensemble import Ensemble
from aqakit.training.state import History
from aqakit.types import Description, LabelSpec, Sample

WEIGHTS, CALIBRATED, TRAINING = "checkpoint.safetensors", "calibrated.safetensors", "training.json"
EPOCHS, PREDICTIONS = "epochs.safetensors", "predictions.csv"
DESCRIPTIONS, RECALIBRATION, PAIRS = "descriptions.json", "recalibration.json", "pairs.csv"

_AGAIN = "restore it from a copy, or train the run again"

LEVEL = 0.9
"""Level of the central prediction intervals, unless another level is named."""


def write_epochs(file: Path, history: History) -> None:
    """Write the stacked predictions of the evaluated epochs as ``split/tensor``.

    The header holds the kinds of distribution and, unless all epochs were evaluated, which ones were.
    """
    tensors: dict[str, Tensor] = {}
    for split, distributions in history.predictions.items():
        by_epoch = [d.tensors() for d in distributions]
        for name in by_epoch[0]:
            tensors[f"{split}/{name}"] = torch.stack([t[name] for t in by_epoch]).contiguous()
    kinds = {split: distributions[0].kind for split, distributions in history.predictions.items()}
    about = {"kinds": json.dumps(kinds)}
    if history.epochs != list(range(len(history.epochs))):
        about["epochs"] = json.dumps(history.epochs)
    storage.save(file, tensors, about)


def predictions_csv(kept: Mapping[str, ScoreDistribution], watched: Mapping[str, BatchSource]) -> str:
    """Return a CSV with one line per watched sample: its true score and the prediction of the selected epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "id", "true", "mean", "std", "low_90", "high_90", "group"])
    for split, distribution in kept.items():
        low, high = distribution.interval(LEVEL)
        columns = zip(watched[split].samples, distribution.mean, distribution.std, low, high, strict=True)
        for sample, *numbers in columns:
            true = "" if sample.score is None else sample.score
            writer.writerow([split, sample.id, true, *(f"{float(x):.9g}" for x in numbers), sample.group or ""])
    return text.getvalue()


def pairs_csv(pairs: Sequence[Pair]) -> str:
    """Return a CSV of comparisons of watched samples, in the format of :func:`aqakit.datasets.parts.pairs.read`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["better", "worse", "weight"])
    writer.writerows([pair.better, pair.worse, f"{pair.weight:g}"] for pair in pairs)
    return text.getvalue()


def read_pairs(folder: Path) -> list[Pair]:
    """Read what :func:`pairs_csv` returned; empty if the run has no such file.

    Raises:
        RunError: it is damaged, or was changed after the run.
    """
    text = run_json.read_file(folder, PAIRS)
    try:
        rows = list(csv.DictReader(io.StringIO(text or "", newline=""), strict=True))
        return [Pair(row["better"], row["worse"], float(row["weight"])) for row in rows]
    except (csv.Error, KeyError, TypeError, ValueError):
        raise RunError(f"{folder / PAIRS}: is damaged; {_AGAIN}") from None


def descriptions_json(said: Mapping[str, Description], watched: Mapping[str, BatchSource], labels: LabelSpec) -> str:
    """Return, as JSON, the metrics of each watched split's descriptions, and each sample's prediction and truth.

    A class or word that ``labels`` does not have counts as one that was not predicted.
    """
    known = {split: _with_unseen(labels, watched[split].samples) for split in said}
    return json.dumps(
        {
            split: {
                "judged": judge(it, collate(watched[split].samples, known[split], {}), known[split]),
                "samples": [
                    {"id": sample.id, **spoken, **{f"true_{name}": _truth(sample, name) for name in spoken}}
                    for sample, spoken in zip(watched[split].samples, decode_descriptions(it, labels))
                ],
            }
            for split, it in said.items()
        },
        indent=1,
    )


def _with_unseen(labels: LabelSpec, samples: Sequence[Sample]) -> LabelSpec:
    """Add the classes and words of samples after those that a model can predict, whose numbers stay."""
    classes = {n: max([c, *(s.attributes.get(n, -1) + 1 for s in samples)]) for n, c in labels.attributes.items()}
    words = {word for s in samples for word in (s.caption or "").split()}
    vocabulary = (*labels.vocabulary, *sorted(words.difference(labels.vocabulary)))
    return replace(labels, attributes=classes, vocabulary=vocabulary)


def decode_descriptions(said: Description, labels: LabelSpec) -> Iterator[dict[str, Any]]:
    """Yield, for each video, the predicted class of each attribute, the caption and boundaries, if there are any."""
    count = max(len(said.captions), len(said.boundaries), *map(len, said.attributes.values()), 0)
    for row in range(count):
        found: dict[str, Any] = {name: int(p[row].argmax()) for name, p in said.attributes.items()}
        if said.captions:
            found["caption"] = sentence(said.captions[row], labels.vocabulary)
        if said.boundaries.numel():
            found["boundaries"] = _cell(said.boundaries[row].tolist())
        yield found


def read_descriptions(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what :func:`descriptions_json` returned; empty if the run folder has no such file."""
    found: dict[str, dict[str, Any]] = _read_json(folder, DESCRIPTIONS, dict, {})
    if not all(isinstance(f, dict) and isinstance(f.get("judged"), dict) and _rows(f) for f in found.values()):
        raise RunError(f"{folder / DESCRIPTIONS}: is damaged; {_AGAIN}")
    return found


def _rows(found: Mapping[str, Any]) -> bool:
    rows = found.get("samples")
    return isinstance(rows, list) and all(isinstance(row, dict) and "id" in row for row in rows)


def _read_json(folder: Path, name: str, kind: type, missing: Any) -> Any:
    """Read a JSON file of a run whose outermost value is of a kind; ``missing`` if the run has no such file."""
    text = run_json.read_file(folder, name)
    if text is None:
        return missing
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, kind):
        raise RunError(f"{folder / name}: is damaged; {_AGAIN}")
    return stored


def _truth(sample: Sample, name: str) -> Any:
    fields = {"caption": sample.caption, "boundaries": _cell(sample.boundaries)}
    return fields[name] if name in fields else sample.attributes.get(name)


def _cell(boundaries: Sequence[float]) -> str:
    """Boundaries as a manifest has them."""
    return " > ".join(f"{share:.4g}" for share in boundaries)


def save_weights(ensemble: Ensemble, file: Path) -> None:
    """Write the weights of all members; those of a single one under its own names."""
    model: nn.Module = ensemble if len(ensemble) > 1 else ensemble.first
    storage.save(file, model.state_dict())


def load_weights(ensemble: Ensemble, file: Path) -> None:
    """Load the weights of a checkpoint into the members of a run.

    Raises:
        WeightsError: the file is missing, damaged or belongs to another method.
    """
    model: nn.Module = ensemble if len(ensemble) > 1 else ensemble.first
    try:
        weights, _ = storage.load(file)
        model.load_state_dict(weights)
    except (OSError, DamagedError) as error:
        raise WeightsError(f"{file}: cannot be read as a checkpoint ({error}); {_AGAIN}") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{file}: does not fit this run's method and options: {reason}") from None
    if broken := [name for name, tensor in weights.items() if tensor.isnan().any()]:
        raise WeightsError(f"{file}: {', '.join(broken[:3])} contain NaN; train again")


def load_recalibration(folder: Path) -> Recalibration | CrossConformal | None:
    """Load what was fitted on samples that were not trained on; None if there were none."""
    stored = _read_json(folder, RECALIBRATION, dict, None)
    if stored is None:
        return None
    try:
        kind = CrossConformal if stored["kind"] == CrossConformal.kind else recalibration.KINDS[stored["kind"]]
        values = {name: value for name, value in stored.items() if name != "kind"}
        return TypeAdapter[Recalibration | CrossConformal](kind).validate_python(values)
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{folder / RECALIBRATION}: is damaged; {_AGAIN}") from None


def read_training(folder: Path) -> list[dict[str, Any]] | None:
    """Read the hashes of the training recordings; None if the run was made before runs stored them."""
    found: list[dict[str, Any]] | None = _read_json(folder, TRAINING, list, None)
    if not all(
        isinstance(one, dict) and isinstance(one.get("sources"), dict) and "window" in one for one in found or ()
    ):
        raise RunError(f"{folder / TRAINING}: is damaged; {_AGAIN}")
    return found


def read_predictions(folder: Path) -> list[dict[str, str]]:
    """Read the lines of ``predictions.csv``.

    Raises:
        RunError: it is missing or damaged, was changed after the run, or is not a table of predictions.
    """
    text = run_json.read_file(folder, PREDICTIONS)
    if text is None:
        raise RunError(f"{folder / PREDICTIONS}: is missing; {_AGAIN}")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        for line, row in enumerate(rows, 2):
            if None in row or None in row.values() or not {"split", "id", "true"} <= row.keys():
                raise RunError(f"{folder / PREDICTIONS}, line {line}: does not have the columns of a run; {_AGAIN}")
            if row["true"] and not is_number(row["true"]):
                raise RunError(f"{folder / PREDICTIONS}, line {line}: {row['true'][:20]!r} is not a number; {_AGAIN}")
    except csv.Error as error:
        raise RunError(f"{folder / PREDICTIONS}: is damaged ({error}); {_AGAIN}") from None
    return rows


def write_distributions(file: Path, answers: Mapping[str, ScoreDistribution]) -> None:
    """Write one distribution for each split, as :func:`read_distributions` reads them."""
    tensors = {f"{split}/{name}": t for split, d in answers.items() for name, t in d.tensors().items()}
    storage.save(file, tensors, {"kinds": json.dumps({split: d.kind for split, d in answers.items()})})


def read_distributions(file: Path) -> dict[str, ScoreDistribution]:
    """Read the result of :func:`write_distributions`.

    Raises:
        RunError: the file is missing or damaged.
    """
    with _reading(file):
        tensors, header = storage.load(file)
        kinds = dict(json.loads(header["kinds"]))
        return {split: restore(kind, storage.below(split, tensors)) for split, kind in kinds.items()}


def read_epochs(file: Path, split: str) -> dict[int, ScoreDistribution]:
    """Read the predictions on a split by epoch, counted from 0, as :func:`write_epochs` wrote them.

    Raises:
        RunError: the file is missing or damaged, or has no such split.
    """
    with _reading(file):
        tensors, header = storage.load(file)
        kind, found = json.loads(header["kinds"])[split], storage.below(split, tensors)
        (count,) = {len(tensor) for tensor in found.values()}
        epochs = json.loads(header["epochs"]) if "epochs" in header else range(count)
        rows = [restore(kind, {name: t[number] for name, t in found.items()}) for number in range(count)]
        return dict(zip(epochs, rows, strict=True))


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Say of a file of tensors that cannot be read what is wrong and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise RunError(f"{file}: is missing; {_AGAIN}") from None
    except (OSError, DamagedError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: is damaged ({storage.reason(error)}); {_AGAIN}") from None
