"""Mixture density network: several normals per score.

This file is a complete method. Saved as ``methods/mdn.py``, in the package or in a folder named by ``AQAKIT_PLUGINS``,
it becomes ``aqakit train mdn``, is listed by ``aqakit methods`` and is run by the contract tests. This docstring
becomes its help and its page in the docs. Run as a script, the file copies itself into such a folder and is compared
with the built-in methods:

    python examples/05_add_a_method.py
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from aqakit.methods.parts.base import DropoutOption, HiddenOption, Method, PoolingOption, Trunk, mean_loss
from aqakit.methods.parts.heads import Units
from aqakit.scores.distributions import Mixture, Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Bishop, Mixture Density Networks, Aston University NCRG/94/004, 1994. "
    "https://publications.aston.ac.uk/id/eprint/373/"
)
FEATURES = FeatureSpec({"any": (1024,)})  # one vector per clip, of any width


class MDN(Method):
    """A mixture of K normals for each video, trained by maximum likelihood."""

    def __init__(self, trunk: Trunk, components: int, scale: ScoreScale) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.width, 3 * components)
        self.units = Units(scale)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the negative log-likelihood of the labelled videos, in nats."""
        known = batch.labelled_rows()
        return {"likelihood": mean_loss(-self.predict(known).log_prob(known.score))}

    def predict(self, batch: Batch) -> Mixture:
        """Return B mixtures, in the units of the sport."""
        weights, mean, log_variance = self.head(self.trunk(batch)).chunk(3, dim=1)  # (B, K) each
        return Mixture(weights, Normal(self.units(mean), self.units.spread(log_variance)))


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    components: Annotated[int, Field(gt=0, description="number of normals in the mixture")] = 3,
    pooling: PoolingOption = "average",
    hidden: HiddenOption = (256, 128),
    dropout: DropoutOption = 0.0,
) -> MDN:
    """Build the network for these features and labels; each keyword is an option of ``aqakit train mdn``."""
    return MDN(Trunk(features, pooling=pooling, hidden=hidden, dropout=dropout), components, labels.scale)


if __name__ == "__main__":
    import argparse
    import os
    import shutil
    from pathlib import Path

    from recordings import record

    import aqakit
    from aqakit.report import tables

    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("my_recordings"), help="folder for the recordings")
    parser.add_argument("--plugins", type=Path, default=Path("my_plugins"), help="folder for the method")
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()

    (given.plugins / "methods").mkdir(parents=True, exist_ok=True)
    shutil.copy(__file__, given.plugins / "methods" / "mdn.py")
    os.environ["AQAKIT_PLUGINS"] = str(given.plugins)

    table = aqakit.benchmark(
        "manifest:low=0:high=10",
        root=record(given.folder),
        backbones=["kinematics:channels=3:windows=2"],
        methods=["regression", "dae", "mdn", "mdn:components=1"],
        epochs=given.epochs,
    )
    tables.show(table.rows, title=table.title, notes=table.notes, hide=table.details)
    print(f"Now try: AQAKIT_PLUGINS={given.plugins} aqakit train mdn --help")
