"""Experiments with lesions: one module deleted, several deleted, modules in another order."""

from helpers import lesions, sweep
from helpers.devices import resolve
from helpers.network import Network
from study.data import Split
from study.experiments.subject import Measurement, Report, Subject, generator
from study.progress import Progress


def deletion(
    subject: Subject, test: Split, precision: str = "auto", progress: Report | None = None
) -> dict:
    """Each module deleted alone (Section 4.1; Figures 3 and 4 of the paper).

    Value: `errors`, the share of the images that each network without one module gets wrong;
    `intact`, that of the whole network; `downsampling`, indices of these modules; `classes`, how
    many the data set has.
    """
    measurement, network = (
        Measurement(subject, "deletion", test, subject.config.seed),
        subject.network,
    )
    views = [network] + [lesions.delete(network, [i]) for i in range(len(network.blocks))]
    intact, *errors = tested(subject, views, test, precision, progress or Progress("deletions"))
    value = {"intact": intact, "errors": errors, "downsampling": lesions.downsampling(network)}
    return measurement.row(
        value | {"classes": len(subject.data.classes)},
        samples=len(test.labels),
        **precision_of(subject, precision),
    )


def random_deletions(
    subject: Subject,
    test: Split,
    largest: int,
    draws: int,
    seed: int,
    spare_downsampling: bool = False,
    precision: str = "auto",
    progress: Report | None = None,
) -> dict:
    """1 to `largest` modules deleted at random, in nested sets (Section 4.2; Figure 5a).

    Each of the `draws` is an order of removal: its first k modules are the set of k.  Value:
    `deleted`, the numbers k; `orders` (draws x largest); `errors` (numbers x draws); `intact`.
    With `spare_downsampling` these modules stay, and `largest` is no more than the others.
    """
    measurement, network = Measurement(subject, "random_deletions", test, seed), subject.network
    spared = lesions.downsampling(network) if spare_downsampling else []
    largest = min(largest, len(network.blocks) - len(spared))
    orders = lesions.nested_lesions(network, largest, draws, generator(seed), spared)
    views = lesions.nested_deletions(network, orders)
    every = [network, *(view for of_one_number in views.values() for view in of_one_number)]
    progress = progress or Progress("random deletions")
    intact, *errors = tested(subject, every, test, precision, progress)
    by_count = [errors[i * draws : (i + 1) * draws] for i in range(largest)]
    return measurement.row(
        {"deleted": list(views), "orders": orders, "errors": by_count, "intact": intact},
        samples=draws,
        images=len(test.labels),
        spare_downsampling=spare_downsampling,
        **precision_of(subject, precision),
    )


def reordering(
    subject: Subject,
    test: Split,
    count: int,
    seed: int,
    precision: str = "auto",
    progress: Report | None = None,
) -> dict:
    """The modules in `count` other orders, spread evenly over tau (Section 4.3; Figure 5b).

    Value, one entry an order: `orders`, which module stands at each position; `tau`, Kendall's rank
    correlation with the original order; `errors`; and `intact`.
    """
    measurement, network = Measurement(subject, "reordering", test, seed), subject.network
    orders = lesions.orders_over_tau(network, count, generator(seed))
    views = [network, *(lesions.reorder(network, order) for order in orders)]
    progress = progress or Progress("reorderings")
    intact, *errors = tested(subject, views, test, precision, progress)
    tau = [lesions.kendall_tau(order) for order in orders]
    return measurement.row(
        {"orders": orders, "tau": tau, "errors": errors, "intact": intact},
        samples=len(orders),
        images=len(test.labels),
        **precision_of(subject, precision),
    )


def tested(
    subject: Subject, views: list[Network], test: Split, precision: str, progress: Report
) -> list[float]:
    """The error of each view on the same images."""
    return sweep.errors(views, *subject.ready(test), precision=precision, progress=progress)


def precision_of(subject: Subject, precision: str) -> dict[str, str]:
    """The setting of a row that says in which precision the network was tested."""
    return {"test_precision": resolve(next(subject.network.parameters()).device, precision)}
