"""What an iteration does: only what is active is computed and moves."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from study.training import checkpoints, loop, recipes
from study.training.iteration import stream
from tests.runs import SMALL


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def one_step(config, dataset, network, iteration=0):
    """One step from scratch; the optimizer, as `train` makes it."""
    optimizer = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=0.1, nesterov=True
    )
    split = dataset.train
    loop.step(config, dataset, split.images, split.labels, network, optimizer, iteration)
    return optimizer


@pytest.mark.parametrize("settings", [{"active": 2}, {"survival": 0.3}])
def test_what_is_not_active_is_not_computed_and_does_not_move(digits, settings):
    config = replace(SMALL, precision="float32", **settings)
    counts = []
    for iteration in range(6):
        network = loop.new_network(config, digits).train()
        before = [{n: t.clone() for n, t in b.state_dict().items()} for b in network.blocks]
        calls = dict.fromkeys(range(6), 0)

        def hook(i, calls=calls):
            return lambda *_: calls.update({i: calls[i] + 1})

        for i, block in enumerate(network.blocks):
            block.residual.register_forward_hook(hook(i))
        optimizer = one_step(config, digits, network, iteration)
        for i, block in enumerate(network.blocks):
            state = block.state_dict()
            moved = [n for n, old in before[i].items() if not torch.equal(old, state[n])]
            # All but the mean and variance of a batch norm are parameters; all move or none.
            assert len(moved) == (len(state) if calls[i] else 0)
            parameters = set(block.parameters())
            assert len(parameters & set(optimizer.state)) == len(parameters) * bool(calls[i])
        counts.append(tuple(calls.values()))
    assert {c for count in counts for c in count} == {0, 1}
    assert len(set(counts)) > 2, "drawn anew in each iteration"
    if config.active:
        assert {sum(count) for count in counts} == {2}


def test_every_gate_learns(digits):
    """Not by weight decay alone: a gradient arrives, although the gates begin nearly shut.  Their
    convolutions begin at zero, so batch norm before them has to wait for the second step."""
    config = replace(SMALL, model="highway", depth=8, precision="float32")
    network = loop.new_network(config, digits).train()
    gates = [block.gate for block in network.blocks]
    before = [{n: p.detach().clone() for n, p in gate.named_parameters()} for gate in gates]
    for _ in range(2):
        one_step(config, digits, network)
    for gate, old in zip(gates, before, strict=True):
        for name, p in gate.named_parameters():
            assert p.grad.any() and not torch.equal(p, old[name])


def test_momentum_does_not_move_what_is_not_active(digits):
    config = replace(SMALL, active=2, precision="float32")
    network = loop.new_network(config, digits).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True)
    split, rested = digits.train, 0
    for iteration in range(8):
        before = [b.residual[2].weight.clone() for b in network.blocks]
        had_momentum = [b.residual[2].weight in optimizer.state for b in network.blocks]
        loop.step(config, digits, split.images, split.labels, network, optimizer, iteration)
        still = [
            torch.equal(old, b.residual[2].weight)
            for old, b in zip(before, network.blocks, strict=True)
        ]
        assert sum(still) == 4
        rested += sum(s and h for s, h in zip(still, had_momentum, strict=True))
    assert rested > 5


def test_one_step_is_stochastic_gradient_descent(digits):
    """By hand: rows in the order of the epoch, crops of the iteration, Nesterov's first step."""
    config = replace(SMALL, precision="float32")
    network = loop.new_network(config, digits).train()
    twin = loop.new_network(config, digits).train()
    iteration = 25  # The third batch but one of the second epoch of 22.
    order = torch.randperm(1437, generator=stream(0, "order", 1))
    rows = order[3 * 64 : 4 * 64]
    generator = stream(0, "iteration", iteration)
    x = digits.augment(digits.normalise(digits.train.images[rows]), generator)
    nn.functional.cross_entropy(twin(x), digits.train.labels[rows]).backward()
    one_step(config, digits, network, iteration)
    rate = recipes.learning_rate(config, iteration)
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        expected = q - rate * 1.9 * (q.grad + 0.1 * q)
        assert torch.allclose(p, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(weights(network), weights(twin), rtol=1e-3)


def test_train_is_steps_of_the_recipe(folder, digits):
    """Nesterov momentum and weight decay as the settings say; without either it would show."""
    config = replace(SMALL, iterations=4, weight_decay=0.1, precision="float32")
    tensors, _ = checkpoints.read(loop.train(config, digits, folder))
    device = loop.find_device()
    split = digits.train.to(device)

    def distance(**changes):
        network = loop.new_network(config, digits).to(device).train()
        settings = {"lr": 1.0, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True} | changes
        optimizer = torch.optim.SGD(network.parameters(), **settings)
        for i in range(4):
            loop.step(config, digits, split.images, split.labels, network, optimizer, i)
        found = torch.cat([tensors[n].flatten() for n, _ in network.named_parameters()])
        return (found - weights(network).cpu()).abs().max()

    assert distance() < 1e-4
    for changes in ({"nesterov": False}, {"weight_decay": 0.0}, {"momentum": 0.8}):
        assert distance(**changes) > 1e-3


def test_each_epoch_sees_every_image_once_in_an_order_of_its_own(digits, monkeypatch):
    """But for the rest that fills no batch: 1,437 = 22 x 64 + 29."""
    seen, normalise = [], digits.normalise
    monkeypatch.setattr(digits, "normalise", lambda i: seen.append(i.clone()) or normalise(i))
    config = replace(SMALL, depth=8, precision="float32")
    network = loop.new_network(config, digits).train()
    for iteration in range(44):
        one_step(config, digits, network, iteration)
    epochs = [torch.cat(seen[:22]), torch.cat(seen[22:])]
    for epoch in epochs:
        assert len({image.numpy().tobytes() for image in epoch}) == 22 * 64
    assert not torch.equal(*epochs)


@pytest.mark.usefixtures("no_global_draws")
def test_the_seed_alone_decides_the_weights(digits, tmp_path):
    def final(name, seed):
        config = replace(SMALL, iterations=3, depth=8, seed=seed)
        tensors, _ = checkpoints.read(loop.train(config, digits, tmp_path / name))
        return torch.cat([t.flatten().double() for t in tensors.values()])

    assert torch.equal(final("a", 0), final("b", 0))
    assert not torch.equal(final("a", 0), final("a", 1))


def test_streams():
    """One for each seed, purpose and number."""
    asked = [(0, "order", 1), (1, "order", 0), (0, "iteration", 1), (0, "order", 11)]
    draws = {tuple(torch.randint(1000, (5,), generator=stream(*a)).tolist()) for a in asked}
    assert len(draws) == 4
    one, same = (torch.rand(5, generator=stream(0, "order", 1)) for _ in range(2))
    assert torch.equal(one, same)


def test_training_learns(folder, digits):
    """Some seconds on digits: below the 90% of chance, however long it takes to be good."""
    config = replace(SMALL, depth=8, iterations=80, learning_rate=0.1)
    network, _ = loop.trained(config, digits, folder)
    split = digits.test
    with torch.no_grad():
        logits = network(digits.normalise(split.images).to(next(network.parameters()).device))
    assert (logits.argmax(1).cpu() != split.labels).double().mean() < 0.7
