"""Naming styles of published files, as rules that translate our tensor names into the published ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Style:
    """One way to name the tensors of one backbone.

    Attributes:
        name: name of the style.
        backbone: the backbone that the weights belong to.
        marker: a tensor name that no other style has; what precedes it in the file is the prefix of all names.
        rules: (pattern, replacement) pairs, applied in order to one of our names to get the published one.
        unused: pattern of tensors in the file that the backbone does not use, such as the class layer.
        classes: the tensor whose first dimension is the number of classes.
        shape: shape of the marker, if its name alone is ambiguous.
    """

    name: str
    backbone: str
    marker: str
    rules: tuple[tuple[str, str], ...] = ()
    unused: str = r"(?!)"
    classes: str | None = None
    shape: tuple[int, ...] | None = None

    def marks(self, name: str, tensor: Tensor) -> bool:
        """Return whether a tensor is the marker, under any prefix."""
        return f".{name}".endswith(f".{self.marker}") and self.shape in (None, tuple(tensor.shape))

    def published(self, name: str) -> str:
        """Return the published name of one of our tensors.

        >>> STYLES["piergiaj"].published("trunk.mixed_3b.branch_1.0.norm.bias")
        'Mixed_3b.b1a.bn.bias'
        """
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


_NO_TRUNK = (r"^trunk\.", "")

_P3D_NAMES = (
    (r"^stem\.", "conv1_custom."),
    (r"^stem_norm\.", "bn1."),
    (r"\.shortcut\.", ".downsample."),
    (r"\.reduce\.", ".conv1."),
    (r"\.reduce_norm\.", ".bn1."),
    (r"\.space\.", ".conv2."),
    (r"\.space_norm\.", ".bn2."),
    (r"\.time\.", ".conv3."),
    (r"\.time_norm\.", ".bn3."),
    (r"\.flat\.", ".conv_normal."),
    (r"\.flat_norm\.", ".bn_normal."),
    (r"\.expand\.", ".conv4."),
    (r"\.expand_norm\.", ".bn4."),
)

_KNOWN = (
    Style(
        "piergiaj",
        "i3d",
        "Conv3d_1a_7x7.conv3d.weight",
        (
            _NO_TRUNK,
            (r"^conv3d", "Conv3d"),
            (r"^mixed", "Mixed"),
            (r"branch_0\.", "b0."),
            (r"branch_([12])\.0\.", r"b\1a."),
            (r"branch_([12])\.1\.", r"b\1b."),
            (r"branch_3\.1\.", "b3b."),
            (r"\.conv\.", ".conv3d."),
            (r"\.norm\.", ".bn."),
        ),
        unused=r"logits\.",
        classes="logits.conv3d.weight",
    ),
    Style(
        "hassony2",
        "i3d",
        "conv3d_1a_7x7.conv3d.weight",
        (_NO_TRUNK, (r"\.conv\.", ".conv3d."), (r"\.norm\.", ".batch3d.")),
        unused=r"conv3d_0c_1x1\.",
        classes="conv3d_0c_1x1.conv3d.weight",
    ),
    Style("aqakit i3d", "i3d", "trunk.conv3d_1a_7x7.conv.weight"),
    Style("mscadc", "mscadc", "bn5b.weight", (_NO_TRUNK,), unused=r"(?!conv[1-5][ab]?\.|bn[1-5][ab]?\.)"),
    Style("c3d", "c3d", "conv5b.weight", (_NO_TRUNK,), unused=r"fc[678]\.", classes="fc8.weight"),
    Style("p3d", "p3d", "conv1_custom.weight", _P3D_NAMES, unused=r"fc\.", classes="fc.weight"),
    Style("aqakit p3d", "p3d", "stem_norm.weight"),
    Style(
        "C3D-AVG score head",
        "C3D-AVG's score head, whose trunk is in model_CNN_….pth",
        "fc_final_score.weight",
    ),
    Style(
        "C3D-AVG class heads",
        "C3D-AVG's class heads, whose trunk is in model_CNN_….pth",
        "fc_position.weight",
    ),
    Style("C3D-AVG fc6", "C3D-AVG's fc6, whose trunk is in model_CNN_….pth", "fc.weight", shape=(4096, 8192)),
)

STYLES: Mapping[str, Style] = {style.name: style for style in _KNOWN}
"""In search order: styles with more specific markers come first."""
