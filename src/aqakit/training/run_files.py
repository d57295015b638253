"""Read and write the files of a run folder, with a clear error for each way in which a file can be damaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqakit.errors import RunError, WeightsError
from aqakit.metrics.description import evaluate as judge
from aqakit.metrics.description import sentence
from aqakit.scores import recalibration
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution, restore
from aqakit.scores.recalibration import Recalibration
from aqakit.system.files import atomic_path
from aqakit.training.batches import BatchSource
from aqakit.training.collating import collate
from aqakit.training.ensemble import Ensemble
from aqakit.training.state import History
from aqakit.types import Description, LabelSpec, Sample, ScoreScale

WEIGHTS, CALIBRATED, TRAINING = "checkpoint.safetensors", "calibrated.safetensors", "training.json"

LEVEL = 0.9
"""Level of the central prediction intervals, unless another level is named."""


def write_epochs(file: Path, history: History) -> None:
    """Write the stacked predictions of every epoch as ``split/tensor``; the header holds the kinds of distribution."""
    tensors: dict[str, Tensor] = {}
    for split, distributions in history.predictions.items():
        by_epoch = [d.tensors() for d in distributions]
        for name in by_epoch[0]:
            tensors[f"{split}/{name}"] = torch.stack([t[name] for t in by_epoch]).contiguous()
    kinds = {split: distributions[0].kind for split, distributions in history.predictions.items()}
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, {"kinds": json.dumps(kinds)})


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
    """Yield, for each video, the predicted class of each attribute and the caption, if there are any."""
    count = max([len(said.captions), *map(len, said.attributes.values())], default=0)
    for row in range(count):
        found: dict[str, Any] = {name: int(p[row].argmax()) for name, p in said.attributes.items()}
        if said.captions:
            found["caption"] = sentence(said.captions[row], labels.vocabulary)
        yield found


def read_descriptions(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what :func:`descriptions_json` returned; empty if the run folder has no such file."""
    file = folder / "descriptions.json"
    if not file.exists():
        return {}
    try:
        found: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise RunError(f"{file}: is damaged; delete it to evaluate scores alone") from None
    return found


def _truth(sample: Sample, name: str) -> Any:
    return sample.caption if name == "caption" else sample.attributes.get(name)


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        RunError: the file is missing or was not written by aqakit.
    """
    file = folder / "run.json"
    try:
        description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if missing := {"recipe", "labels", "fingerprint", "status"} - description.keys():
            raise RunError(f"{file}: has no {', '.join(sorted(missing))}; it was not written by aqakit")
    except OSError:
        raise RunError(f"{folder}: not a run folder (it has no run.json)") from None
    except (ValueError, AttributeError):
        raise RunError(f"{file}: is not the JSON of a run; delete the folder and train again") from None
    return description


def save_weights(ensemble: Ensemble, file: Path) -> None:
    """Write the weights of all members; those of a single one under its own names."""
    model: nn.Module = ensemble if len(ensemble) > 1 else ensemble.first
    with atomic_path(file) as temporary:
        save_file({n: t.cpu().contiguous() for n, t in model.state_dict().items()}, temporary)


def load_weights(ensemble: Ensemble, file: Path) -> None:
    """Load the weights of a checkpoint into the members of a run.

    Raises:
        WeightsError: the file is missing, damaged or belongs to another method.
    """
    model: nn.Module = ensemble if len(ensemble) > 1 else ensemble.first
    try:
        weights = load_file(file)
        model.load_state_dict(weights)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{file}: cannot be read as a checkpoint ({error}); train again") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{file}: does not fit this run's method and options: {reason}") from None
    if broken := [name for name, tensor in weights.items() if tensor.isnan().any()]:
        raise WeightsError(f"{file}: {', '.join(broken[:3])} contain NaN; train again")


def load_recalibration(folder: Path) -> Recalibration | CrossConformal | None:
    """Load what was fitted on samples that were not trained on; None if there were none."""
    file = folder / "recalibration.json"
    if not file.exists():
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["kind"] == CrossConformal.kind:
            return CrossConformal.from_json(stored)
        return recalibration.from_json(stored)
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{file}: is damaged; delete it to predict without recalibration") from None


def read_training(folder: Path) -> list[dict[str, Any]] | None:
    """Read the hashes of the training recordings; None if the run was made before runs stored them."""
    file = folder / TRAINING
    if not file.exists():
        return None
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise RunError(f"{file}: is damaged; delete it to predict without it") from None
    return found


def write_distributions(file: Path, answers: Mapping[str, ScoreDistribution]) -> None:
    """Write one distribution for each split, as :func:`read_distributions` reads them."""
    tensors = {f"{split}/{name}": t.contiguous() for split, d in answers.items() for name, t in d.tensors().items()}
    with atomic_path(file) as temporary:
        save_file(tensors, temporary, {"kinds": json.dumps({split: d.kind for split, d in answers.items()})})


def read_distributions(file: Path) -> dict[str, ScoreDistribution]:
    """Read the result of :func:`write_distributions`; empty if there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    if not file.exists():
        return {}
    try:
        with safe_open(file, framework="pt") as stored:
            kinds = json.loads(stored.metadata()["kinds"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return {split: restore(kind, _below(f"{split}/", tensors)) for split, kind in kinds.items()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file}: is damaged ({type(error).__name__}); train the run again") from None


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def labels_from_json(stored: Mapping[str, Any]) -> LabelSpec:
    """Rebuild a LabelSpec from the result of :func:`dataclasses.asdict`."""
    scales = {n: ScoreScale(**stored[n]) if stored[n] else None for n in ("scale", "total", "marks")}
    return LabelSpec(**{**stored, **scales, "vocabulary": tuple(stored["vocabulary"])})
