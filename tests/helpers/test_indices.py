"""Module indices come in many forms; each means the modules it names, or is refused by name."""

import numpy as np
import pytest
import torch

from helpers import lesions
from helpers.indices import module_indices, module_order

FORMS = {
    "list": [4, 1],
    "tuple": (4, 1),
    "set": {4, 1},
    "frozenset": frozenset((4, 1)),
    "range": range(1, 5, 3),
    "keys": {4: "a", 1: "b"}.keys(),
    "iterator": iter([4, 1]),
    "numpy": np.array([4, 1]),
    "numpy uint8": np.array([4, 1], dtype=np.uint8),
    "numpy numbers": [np.int64(4), np.int32(1)],
    "torch": torch.tensor([4, 1]),
    "torch int32": torch.tensor([4, 1], dtype=torch.int32),
    "torch numbers": [torch.tensor(4), torch.tensor(1)],
}
NO_INDICES = {
    "a mask": ([True, False, True, False, False, False], "True: expected .* not a mask"),
    "a NumPy mask": (np.array([True] + [False] * 5), "True: expected .* not a mask"),
    "a PyTorch mask": (torch.tensor([False] * 6), "False: expected .* not a mask"),
    "NumPy bools": ([np.bool_(True)], "expected .* not a mask"),
    "PyTorch bools": ([torch.tensor(True)], "expected .* not a mask"),
    "floats": ([1, 2.0], r"2\.0 \(float\): expected a module index"),
    "NumPy floats": (np.array([1.0]), r"1\.0 \(float\)"),
    "PyTorch floats": (torch.tensor([1.5]), r"1\.5 \(float\)"),
    "words": (["1"], r"'1' \(str\)"),
    "a word": ("123", "'123': expected a list"),
    "a number": (3, "3: expected a list"),
    "nothing": (None, "None: expected a list"),
    "a table": (np.array([[1, 2]]), r"\[1, 2\] \(list\)"),
    "a PyTorch table": (torch.tensor([[1, 2]]), r"\[1, 2\] \(list\)"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_modules(form):
    found = module_indices(FORMS[form], 6)
    assert sorted(found) == [1, 4]
    assert all(type(i) is int for i in found)


@pytest.mark.parametrize("form", FORMS)
def test_a_deletion_in_every_form(new_network, images, form):
    """A tensor's numbers hash by identity: looked up in a set they would delete nothing."""
    network = new_network()
    modules = [4, 1] if form == "iterator" else FORMS[form]
    found = lesions.delete(network, modules)(images)
    assert torch.equal(found, lesions.delete(network, [1, 4])(images))
    assert not torch.equal(found, network(images))


@pytest.mark.parametrize("what", NO_INDICES)
def test_what_is_no_index(new_network, untouched, generator, what):
    wrong, message = NO_INDICES[what]
    network = new_network()
    for use in (
        lambda: lesions.delete(network, wrong),
        lambda: lesions.reorder(network, wrong),
        lambda: lesions.random_lesions(network, [1], 1, generator, wrong),
        lambda: lesions.nested_lesions(network, 1, 1, generator, wrong),
        lambda: lesions.kendall_tau(wrong),
    ):
        with untouched(network), pytest.raises(TypeError, match=message):
            use()


@pytest.mark.parametrize("module", [-1, 6, 54, torch.tensor(-6), np.int64(7)])
def test_a_module_outside_the_network(new_network, untouched, generator, module):
    network = new_network()
    for use in (
        lambda: lesions.delete(network, [0, module]),
        lambda: lesions.random_lesions(network, [1], 1, generator, [module]),
        lambda: lesions.nested_lesions(network, 1, 1, generator, (0, module)),
    ):
        with (
            untouched(network),
            pytest.raises(IndexError, match=f"module {int(module)}: expected 0 to 5"),
        ):
            use()


@pytest.mark.parametrize("form", [list, tuple, np.array, torch.tensor, iter])
def test_an_order_in_every_form(new_network, form):
    order = [1, 0, 2, 3, 4, 5]
    assert module_order(form(order), 6) == module_order(form(order)) == order
    network = new_network()
    assert lesions.reorder(network, form(order)).blocks[0] is network.blocks[1]
    # 15 pairs, one of them out of order.
    assert lesions.kendall_tau(form(order)) == pytest.approx(1 - 2 / 15)


@pytest.mark.parametrize(
    "order, reason",
    [
        ([0, 1, 2], "order of 3 modules: .*; 3 is missing"),
        ([0, 0, 2, 3], "0 comes 2 times"),
        ([0, 1, 2, 4], "there is no module 4"),
        ([0, 1, 2, -1], "there is no module -1"),
    ],
)
def test_an_order_that_is_none(order, reason):
    with pytest.raises(ValueError, match=f"expected each of 0 to 3 once.*{reason}|{reason}"):
        module_order(order, 4)


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_set_has_no_order(new_network, kind):
    for use in (lesions.kendall_tau, lambda order: lesions.reorder(new_network(), order)):
        with pytest.raises(TypeError, match="a set has none"):
            use(kind(range(6)))
