"""Load a weights file into a network: read it without executing code, identify it, translate names, copy tensors."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from aqakit.backbones.weights.published import CATALOGUE, Published
from aqakit.backbones.weights.styles import STYLES, Style
from aqakit.errors import DataError, WeightsError
from aqakit.recordings import arrays
from aqakit.system.tensors import reason

_TRAINED_FOR_SCORES = {"base_model", "i3d"}
"""Names under which CoRe and DAE store the trunk that they trained with ImageNet-normalised images."""

_NOT_WEIGHTS = {
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it first",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"<!DO": "a web page, not weights: the server sent a form instead of the file; download it with a browser",
    b"<htm": "a web page, not weights: the server sent a form instead of the file; download it with a browser",
    b"vers": "a Git LFS pointer, not weights; get the file itself with git lfs pull",
}


@dataclass(frozen=True)
class Found:
    """The recognised contents of a weights file.

    Attributes:
        path: the file.
        tensors: tensors of the network, under their published names.
        style: naming style of the tensors.
        prefix: prefix of the names in the file, such as ``state_dict.module.``.
        published: the catalogue entry it looks like; None for a ``state_dict`` saved by aqakit.
        colours: the normalisation it expects, a name in :data:`aqakit.recordings.transforms.CONVENTIONS`; None if
            unknown.
        convention: the published code it belongs to, a name that the backbone knows; None if unknown.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    style: Style
    prefix: str
    published: Published | None
    colours: str | None
    convention: str | None = None

    def fit(self, network: nn.Module) -> None:
        """Copy the tensors into a network.

        Raises:
            WeightsError: a tensor is missing, unexpected, of another shape or not finite; then nothing is copied.
        """
        names = {self.style.published(name): name for name in network.state_dict()}
        faults = [*self._faults(network.state_dict(), names)]
        if faults:
            raise WeightsError(
                f"{self.path} {self._looks()} and does not fit {self.style.backbone}: {'; '.join(faults)}"
            )
        given = {names[name]: tensor for name, tensor in self.tensors.items() if name in names}
        network.load_state_dict(given, strict=False)  # older files have no num_batches_tracked

    def _looks(self) -> str:
        if self.published is None:
            return "was saved by aqakit"
        return f"looks like {self.published.name} ({self.published.origin})"

    def _faults(self, own: Mapping[str, Tensor], names: Mapping[str, str]) -> Iterator[str]:
        missing = [n for n in names if n not in self.tensors and not n.endswith("num_batches_tracked")]
        extra = [n for n in self.tensors if n not in names and not _matches(self.style.unused, n)]
        shared = [n for n in names if n in self.tensors]
        if missing:
            yield f"{_some(missing)} missing"
        if extra:
            yield f"{_some(extra)} unexpected"
        for name in [n for n in shared if self.tensors[n].shape != own[names[n]].shape][:1]:
            there, here = (_size(t) for t in (self.tensors[name], own[names[name]]))
            yield f"{name} is {there} in the file and {here} in the network"
        for name in [n for n in shared if not self.tensors[n].isfinite().all()][:1]:
            yield f"{name} holds values that are not finite, so the file is damaged"


def identify(path: Path, backbone: str) -> Found:
    """Read a file and recognise its contents.

    Args:
        path: a ``state_dict``, alone or nested in the dictionaries of a checkpoint, under any prefix; in the current
            format of ``torch.save``, in its format before 2020, or as safetensors.
        backbone: name of the backbone that will use the weights.

    Raises:
        WeightsError: the file cannot be read without executing code, or does not hold weights of that backbone.
    """
    tensors = read(path)
    wanted = [s for s in STYLES.values() if s.backbone == backbone]
    for style in STYLES.values():
        prefixes = [n.removesuffix(style.marker) for n, t in tensors.items() if style.marks(n, t)]
        if len(prefixes) > 1:
            raise WeightsError(f"{path} holds {len(prefixes)} networks, {_some(prefixes)}; save one of them on its own")
        if prefixes:
            return _found(path, tensors, style, prefixes[0], backbone)
    raise WeightsError(
        f"{path} holds {len(tensors)} tensors such as {_some(list(tensors))}, which is not a known form of {backbone}; "
        f"it should have {' or '.join(s.marker for s in wanted)}"
    )


def _found(path: Path, tensors: Mapping[str, Tensor], style: Style, prefix: str, backbone: str) -> Found:
    mine = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    alike = _alike(path.name.removeprefix(".").removesuffix(".part"), style, mine)
    like = alike[0] if alike else None
    if style.backbone != backbone:
        looks = f"looks like {like.name} and " if like else ""
        raise WeightsError(f"{path} {looks}holds the weights of {style.backbone}; {backbone} cannot use them")
    if like is None:
        return Found(path, mine, style, prefix, None, None)
    trained = bool(_TRAINED_FOR_SCORES & set(prefix.split(".")))
    if trained:
        like = min(alike, key=lambda entry: entry.colours != "imagenet")
    colours = "imagenet" if trained else like.colours
    convention = like.copied if trained and like.copied else like.convention
    return Found(path, mine, style, prefix, like, colours, convention)


def _alike(name: str, style: Style, tensors: Mapping[str, Tensor]) -> list[Published]:
    """Return the catalogue entries that match the contents of a file.

    What the contents leave open, the name of the file decides; without a known name, the order of the catalogue.
    """
    head = tensors.get(style.classes or "")
    classes = None if head is None else len(head)
    first = tensors[style.marker]
    channels = 2 if first.ndim == 5 and first.shape[1] == 2 else 3
    entries = [entry for entry in CATALOGUE if (entry.style, entry.channels) == (style.name, channels)]
    exact = [entry for entry in entries if entry.classes == classes] or entries
    fresh = [entry for entry in exact if entry.fresh] if head is not None and _never_trained(head) else []
    return sorted(fresh or exact, key=lambda entry: name not in (entry.name, *entry.also))


def _never_trained(head: Tensor) -> bool:
    """Whether the weights of a layer are as PyTorch draws them: uniform up to 1 / √inputs, to the very bound.

    The largest of a hundred thousand such numbers is within 1e-4 of the bound. Trained ones are mostly far beyond it.
    """
    bound = head[0].numel() ** -0.5
    size = head.float().abs()
    return 0.99 * bound < float(size.max()) <= 1.001 * bound and abs(float(size.mean()) / bound - 0.5) < 0.02


def read(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file; names of nested dictionaries are joined by dots. No code is executed.

    Raises:
        WeightsError: the file is missing, damaged, without tensors, or cannot be read without executing code.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        _refuse_other_things(path)
        tensors = dict(_flat(_load(path), "", set()))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged, or holds objects other than tensors, whose loading would execute code and is refused; "
            f"save only its state_dict() ({reason(error)})"
        ) from error
    except WeightsError:
        raise
    except DataError as error:
        raise WeightsError(str(error)) from error
    except Exception as error:  # PyTorch raises many kinds for damaged files
        raise WeightsError(f"{path} is damaged or not a weights file: {reason(error)}") from error
    if not tensors:
        raise WeightsError(f"{path} holds no tensors")
    return tensors


def _load(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return arrays.load_torch(path)
    arrays.check_header(path)
    return load_file(path)


def _refuse_other_things(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(16)
    for magic, what in _NOT_WEIGHTS.items():
        if start.startswith(magic):
            raise WeightsError(f"{path} is {what}")


def _flat(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors with their joined names; a container that is in several places, or in itself, only once."""
    if isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(key, str | int):
                yield from _flat(inner, f"{name}.{key}" if name else str(key), seen)


def _matches(pattern: str, name: str) -> bool:
    return re.match(pattern, name) is not None


def _some(names: list[str]) -> str:
    shown = ", ".join(name or "(no prefix)" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _size(tensor: Tensor) -> str:
    return "×".join(str(n) for n in tensor.shape)
