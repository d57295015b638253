"""Turn a module into a graph of tensor operations, in which batch and other sizes stay open."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.overrides import TorchFunctionMode

_QUESTIONS: tuple[Callable[..., Any], ...] = (
    Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.item, Tensor.tolist, torch.equal,
    torch.allclose,
)  # fmt: skip
"""What turns a value of a tensor into a value of Python."""

_MOST_OPERATIONS = 2_500
"""Operations of a module that is traced; five members of a usual head have 1,000 to 2,000."""


def trace(module: nn.Module, inputs: Sequence[Tensor], open_axes: Sequence[Sequence[int]]) -> ExportedProgram:
    """Trace a module whose Python code may ask for values of tensors, such as whether the edges of bins increase.

    The module is first run as it is, and in tracing its questions get the same answers. So the graph is right only for
    inputs that give these answers: compare it with the module on others.

    Args:
        module: in evaluation mode, on the CPU.
        inputs: an example of its inputs, in which no open axis has size 1.
        open_axes: for each input, the axes whose size stays open.

    Raises:
        ValueError: its operations are too many.
        Exception: of many other kinds, if the module cannot be traced.
    """
    sizes = tuple(dict.fromkeys(axes, Dim.DYNAMIC) for axes in open_axes)
    answers: list[Any] = []
    with _quietly(), torch.inference_mode(False), torch.no_grad():
        with _Recorded(answers):
            module(*inputs)
        found = torch.export.export(
            _Answered(module, answers), tuple(inputs), dynamic_shapes=(sizes,), strict=False
        )  # of a star
        folded = _fold(found.module(check_guards=False))
        return torch.export.export(folded, tuple(inputs), dynamic_shapes=sizes, strict=False)


class _Recorded(TorchFunctionMode):
    """Notes the answers to questions, and counts operations: tracing takes seconds for a thousand."""

    def __init__(self, answers: list[Any]) -> None:
        super().__init__()
        self.answers, self.operations = answers, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations > _MOST_OPERATIONS:
            raise ValueError(f"it computes in more than {_MOST_OPERATIONS:,} steps, too many for a network file")
        found = func(*args, **(kwargs or {}))
        if func in _QUESTIONS:
            self.answers.append(found)
        return found


class _Replayed(TorchFunctionMode):
    """Gives noted answers, in their order, and replaces operations that other runtimes lack."""

    def __init__(self, answers: Sequence[Any]) -> None:
        super().__init__()
        self.answers = iter(answers)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _QUESTIONS:
            return next(self.answers)
        return _REPLACED.get(func, func)(*args, **(kwargs or {}))


class _Answered(nn.Module):
    """A module whose questions get noted answers."""

    def __init__(self, module: nn.Module, answers: Sequence[Any]) -> None:
        super().__init__()
        self.module, self.answers = module, answers

    def forward(self, *inputs: Tensor) -> Any:
        with _Replayed(self.answers):
            return self.module(*inputs)


def _fold(graph: fx.GraphModule) -> fx.GraphModule:
    """Compute what depends on no input, so that only its result is left in the graph."""
    known: dict[fx.Node, Any] = {}
    for node in list(graph.graph.nodes):
        if node.op == "get_attr":
            known[node] = _attribute(graph, node.target)
        elif node.op == "call_function" and all(one in known for one in node.all_input_nodes):
            known[node] = node.target(*fx.node.map_arg(node.args, known.get), **fx.node.map_arg(node.kwargs, known.get))
    for number, (node, value) in enumerate(known.items()):
        used = any(user not in known for user in node.users)
        if node.op == "call_function" and used and isinstance(value, Tensor):
            graph.register_buffer(f"folded_{number}", value.detach().clone())
            with graph.graph.inserting_before(node):
                node.replace_all_uses_with(graph.graph.get_attr(f"folded_{number}"))
    for node in reversed(known):  # also checks of constants, which have no user
        if node.op == "call_function" and not node.users:
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _attribute(graph: fx.GraphModule, name: str) -> Any:
    found: Any = graph
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _ndtr(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


def _nan_to_num(x: Tensor, nan: float | None = None, *ends: float | None) -> Tensor:
    return torch.where(x.isnan(), 0.0 if nan is None else nan, x)


def _kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    values, indices = (one.narrow(dim, k - 1, 1) for one in x.topk(k, dim, largest=False))
    found = (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))
    return torch.return_types.kthvalue(found)


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.square()).sqrt()


_REPLACED: Mapping[Any, Callable[..., Any]] = {
    torch.special.ndtr: _ndtr,
    torch.nan_to_num: _nan_to_num,
    Tensor.nan_to_num: _nan_to_num,
    torch.kthvalue: _kthvalue,
    Tensor.kthvalue: _kthvalue,
    torch.hypot: _hypot,
}


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
