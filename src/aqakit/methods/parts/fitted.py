"""Methods that are fitted in one go instead of by gradient steps."""

from torch import Tensor

from aqakit.errors import DataError
from aqakit.methods.parts.base import Method
from aqakit.types import Batch


class Fitted(Method):
    """A method that learns everything in :meth:`remember`."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing: :meth:`remember` does all the training."""
        return {}


def check_enough(train: Batch, who_needs: str, rows: str = "recordings") -> None:
    """Check that at least two rows are labelled.

    Raises:
        DataError: there are fewer.
    """
    if len(train) < 2:
        raise DataError(f"{who_needs} at least 2 labelled training {rows}, not {len(train)}")
