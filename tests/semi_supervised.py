"""What the tests of every scheme for unlabelled videos share."""

import torch

from aqakit import discovery
from tests.synthetic import FEATURES, LABELS, batch


def built(name: str, **options):
    """A method whose weights come from the same seed, ready to train."""
    torch.manual_seed(0)
    method = discovery.find("methods", name).build(FEATURES, LABELS, **options)
    method.remember(batch())
    return method.train()


def assert_same_without_unlabelled_rows(scheme, base):
    """The same losses, and after three steps from the same seed the same answers."""
    found = [_after_steps(method) for method in (scheme, base)]
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def _after_steps(method):
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2, weight_decay=1e-3)
    losses = []
    for epoch in range(3):
        torch.manual_seed(epoch)
        method.epoch = 30 * epoch
        optimizer.zero_grad()
        losses.append(torch.stack(list(method.losses(batch()).values())).sum())
        losses[-1].backward()
        optimizer.step()
    answer = method.eval().predict(batch(seed=1))
    return [*losses, answer.mean, answer.std]


def trained(method, train, epochs: int = 60, rate: float = 3e-3):
    """The method after some epochs of one batch."""
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=rate)
    for epoch in range(epochs):
        method.train().epoch = epoch
        optimizer.zero_grad()
        torch.stack(list(method.losses(train).values())).sum().backward()
        optimizer.step()
    return method.eval()
