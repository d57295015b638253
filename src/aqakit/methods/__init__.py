"""ONE FILE = ONE METHOD: a batch of features comes in, a score distribution goes out.

May import ``features`` and the rooms on its left.

A file ``methods/<name>.py`` defines ``PAPER`` (a citation with a link), ``FEATURES`` (the
:class:`~aqakit.types.FeatureSpec` of the published system: one vector, map or set of joints per clip, for each stream)
and ``build(features: FeatureSpec, labels: LabelSpec, *, …options) -> Method``. The keyword-only parameters are the
whole configuration: command-line options, tables in the documentation and ``run.json`` are generated from them. An
option that the method would ignore is an error. A method accepts features of any size and any number of streams, as
long as they are of the same kind as ``FEATURES``; otherwise it raises :class:`~aqakit.errors.OptionError`.

If the paper has an ablation study, the file may define ``ABLATION``, a dictionary from the name of each variant to its
options, simplest variant first, and ``GRID``, a dictionary from two numeric options to the factors by which they are
varied. :mod:`aqakit.evaluation.sweep` runs both.

Shared code is in ``parts/``.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.methods.parts import catalogue
    from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, PoolingOption, Trunk, mean_loss

__all__ = ["DropoutOption", "HiddenOption", "Method", "PoolingOption", "Trunk", "catalogue", "mean_loss"]

__getattr__, __dir__ = lazily(
    __name__, {"catalogue": "parts.catalogue"} | {name: f"parts.base:{name}" for name in __all__ if name != "catalogue"}
)
