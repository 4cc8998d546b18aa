"""The reference study: whole, resumable, and of the networks that the chapters look at."""

import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

from study import chapter_parameters, plan, recording
from study.places import Places
from study.plan import SIZES, Chapter
from study.records import commit, schema, store
from study.training import checkpoints, loop, publishing, recipes
from study.training.recipes import TrainConfig
from tests import rows

TINY = TrainConfig(dataset="digits", depth=8, iterations=2, batch_size=16)
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PARTS = {
    f"{size}, {name}": (size, chapter)
    for size in SIZES
    for name, chapter in plan.chapters(SIZES[size]).items()
}
every_size = pytest.mark.parametrize("size", SIZES)
every_chapter = pytest.mark.parametrize(("size", "chapter"), PARTS.values(), ids=PARTS)


# The networks.


def test_names_of_networks():
    assert list(plan.networks(SIZES["short"])) == [
        "resnet110",
        *("all-modules-0", "23-modules-0", "stochastic-depth"),
        *("all-modules-1", "23-modules-1", "stochastic-depth-1"),
        *("all-modules-2", "23-modules-2", "stochastic-depth-2"),
        *("highway", "vgg15", "vgg15-plain", "projection", "shared"),
        "23-modules-long",
    ]


def test_no_network_is_trained_twice():
    """At the paper's size the first of three seeds is the network of all chapters, and none is
    trained longer than another."""
    short, paper = (list(plan.networks(SIZES[size])) for size in ("short", "paper"))
    assert set(short) - set(paper) == {"all-modules-0", "23-modules-long"}
    assert set(paper) < set(short)
    for size in SIZES.values():
        configs = list(plan.networks(size).values())
        assert len(configs) == len(set(configs))


@every_size
def test_no_part_has_the_name_of_another(size):
    networks, chapters = plan.networks(SIZES[size]), plan.chapters(SIZES[size])
    assert not networks.keys() & chapters.keys()


def test_at_the_papers_size_all_networks_are_trained_by_its_recipe():
    for name, config in plan.networks(SIZES["paper"]).items():
        assert (config.recipe, config.iterations) == ("paper", 64_000), name
        assert (config.dataset, config.depth, config.batch_size) == ("cifar10", 110, 128)
    assert plan.networks(SIZES["paper"])["resnet110"] == TrainConfig()


def test_labels_of_the_short_study():
    found = plan.networks(SIZES["short"])
    assert {config.recipe for config in found.values()} == {"compact"}
    assert {name: config.label.replace("-cifar10", "") for name, config in found.items()} == {
        "resnet110": "resnet110-s0",
        "all-modules-0": "resnet110-s0",
        "all-modules-1": "resnet110-s1",
        "all-modules-2": "resnet110-s2",
        "23-modules-0": "resnet110-23active-s0",
        "23-modules-1": "resnet110-23active-s1",
        "23-modules-2": "resnet110-23active-s2",
        "stochastic-depth": "resnet110-survival0.5-s0",
        "stochastic-depth-1": "resnet110-survival0.5-s1",
        "stochastic-depth-2": "resnet110-survival0.5-s2",
        "highway": "highway110-s0",
        "vgg15": "vgg15-s0",
        "vgg15-plain": "vgg15-plain-s0",
        "projection": "resnet110-projection-s0",
        "shared": "resnet110-shared-s0",
        "23-modules-long": "resnet110-23active-s0",
    }
    assert found["resnet110"].iterations > found["all-modules-0"].iterations


@every_size
def test_the_networks_that_are_compared_differ_in_one_thing(size):
    """Three seeds with all modules and with 23; the others against the first seed."""
    found = plan.networks(SIZES[size])
    base = found.get("all-modules-0", found["resnet110"])
    pairs = {seed: (found.get(f"all-modules-{seed}", base), seed) for seed in range(3)}
    for every, seed in pairs.values():
        expected = vars(every) | {"active": 23}
        assert every.seed == seed and vars(found[f"23-modules-{seed}"]) == expected
    for name, change in (
        ("stochastic-depth", {"survival": 0.5}),
        ("projection", {"shortcuts": "projection"}),
        ("shared", {"shortcuts": "shared"}),
        ("vgg15", {"model": "vgg15"}),
    ):
        assert vars(found[name]) == vars(base) | change
    long = found.get("23-modules-long", found["23-modules-0"])
    assert vars(long) == vars(found["resnet110"]) | {"active": 23}


# The chapters.


def declared(name):
    """The parameters of a notebook, with its own values; and their cell."""
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    return chapter_parameters.assignments(cell.source), cell.source


@every_chapter
def test_a_chapter_sets_parameters_that_its_notebook_has(size, chapter):
    known, cell = declared(chapter.notebook)
    assert set(chapter.parameters) <= set(known)
    lines = [f"{name} = {value!r}" for name, value in chapter.parameters.items()]
    # Of the right type too, and the one that `run_chapter` adds is there.
    chapter_parameters.check([cell, "\n".join(["# Parameters", *lines, 'runs_dir = "runs"'])])


@every_chapter
def test_a_chapter_records_what_its_notebook_measures(size, chapter):
    text = (NOTEBOOKS / f"{chapter.notebook}.py").read_text(encoding="utf8")
    for experiment in chapter.records:
        assert f"experiments.{experiment}(" in text


def needed(chapter):
    """The networks that a chapter trains unless they are there, as its notebook names them."""
    p = declared(chapter.notebook)[0] | chapter.parameters
    if "iterations" not in p:
        return []  # It looks at untrained ones alone.
    choices = ("model", "depth", "shortcuts", "seed", *["survival"] * ("with_plain" in p))
    own = {name: p[name] for name in choices if name in p}

    def network(iterations, **more):
        return recipes.reference(p["dataset"], iterations or p["iterations"], **own | more)

    found = [network(0)]
    if p.get("with_plain"):
        plain = {"model": p["plain_model"], "seed": p["seed"]}
        length = p["plain_iterations"] or p["iterations"]
        found.append(recipes.reference(p["dataset"], length, **plain))
    if "highway_iterations" in p:
        found.append(network(0, survival=p["survival"]))
        found.append(network(p["highway_iterations"], model="highway"))
    if "n_seeds" in p:
        seeds = range(p["first_seed"], p["first_seed"] + p["n_seeds"])
        part = p["n_active"] or round((p["depth"] - 2) // 2 * 23 / 54)
        found = [network(0, seed=s, active=a) for s in seeds for a in (0, part)]
    return found


@every_chapter
def test_the_study_trains_every_network_that_a_chapter_looks_at(size, chapter):
    trained = plan.networks(SIZES[size]).values()
    assert [config for config in needed(chapter) if config not in trained] == []


def test_the_small_networks_are_those_that_the_chapters_look_at():
    """Unless told otherwise; the course of a training can be looked at only by training."""
    names = {c.notebook for _, c in PARTS.values()} - {"07_dynamics"}
    wanted = {config for name in names for config in needed(Chapter(name, {}, ()))}
    found = plan.small_networks()
    assert len(found) == len(set(found)) and set(found) == wanted


def measured(chapter):
    """What a chapter records: experiment, network, and the settings that make another measurement.

    Of the networks that a notebook looks at it records all by every experiment: more than it does,
    but nothing that it does not keep."""
    settings = {n: chapter.parameters.get(n) for n in ("at_image", "spare_downsampling")}
    return {
        (experiment, config, *settings.items())
        for experiment in chapter.records
        for config in needed(chapter)
        if chapter.keeps({"experiment": experiment, "config": asdict(config)})
    }


@every_size
def test_no_measurement_is_recorded_by_two_chapters(size):
    found = [m for c in plan.chapters(SIZES[size]).values() for m in measured(c)]
    assert [m for m in found if found.count(m) > 1] == []


@every_size
def test_stochastic_depth_has_a_row_to_be_compared_with(size):
    """Single deletions of the same network without it, and of the highway network its gates."""
    found = {m[:2] for c in plan.chapters(SIZES[size]).values() for m in measured(c)}
    networks = plan.networks(SIZES[size])
    plain = networks.get("all-modules-0", networks["resnet110"])
    stochastic, highway = networks["stochastic-depth"], networks["highway"]
    assert {("deletion", plain), ("deletion", stochastic), ("gates", highway)} <= found


def test_every_network_is_looked_at_by_a_chapter():
    """None is trained for its test error alone."""
    looked_at = {c for part, chapter in PARTS.values() if part == "short" for c in needed(chapter)}
    assert set(plan.networks(SIZES["short"]).values()) == looked_at


@pytest.mark.parametrize(
    "experiment, config, expected",
    [
        ("deletion", {"model": "vgg15", "depth": 110}, True),
        ("gates", {"model": "vgg15", "active": 0}, True),
        ("deletion", {"model": "resnet"}, False),
        ("reordering", {"model": "vgg15"}, False),
        ("deletion", {"depth": 110}, False),
        ("deletion", {"survival": 0.5, "depth": 20, "model": "resnet"}, True),
        ("deletion", {"survival": 0.5, "depth": 110, "model": "resnet"}, False),
    ],
)
def test_what_a_chapter_keeps(experiment, config, expected):
    where = ({"model": "vgg15"}, {"survival": 0.5, "depth": 20})
    chapter = Chapter("01_deletion", {}, ("deletion", "gates"), where)
    assert chapter.keeps({"experiment": experiment, "config": config}) is expected


def test_a_chapter_keeps_every_network_unless_told_otherwise():
    chapter = Chapter("01_deletion", {}, ("deletion",))
    assert chapter.keeps({"experiment": "deletion", "config": {"model": "resnet"}})


# Running parts.


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The places of a study of its own, by code that is as it was committed."""
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": "a" * 40, "dirty": False})
    return Places(tmp_path)


@cache
def row(name, value=1.0):
    """A row of which the study needs no more than that it is one."""
    return rows.row(f"{schema.BENCH}{name}", {"value": value})


def fake(*names, stops=None, problem=KeyboardInterrupt, value=1.0):
    """Parts that only note that they ran, in `.ran`; one of them may end with a problem."""

    def part(name, places):
        parts.ran.append(name)
        if name == stops:
            raise problem
        return [row(name, value), row(f"{name} again", value)]

    class Parts(dict):
        ran = []

    parts = Parts((name, partial(part, name)) for name in names)
    return parts


def nothing(places):
    """A part that leaves no rows."""
    return []


def recorded(study):
    """The recorded experiments, by part."""
    files = sorted(study.results.glob("*"))
    return {
        f.stem: [r["experiment"].removeprefix(schema.BENCH) for _, r in store.numbered(f)]
        for f in files
    }


def test_parts_run_in_order_and_are_recorded(study, capsys):
    parts = fake("b", "a")
    recording.run(parts, study)
    assert parts.ran == ["b", "a"]
    assert recorded(study) == {"a": ["a", "a again"], "b": ["b", "b again"]}
    assert store.read(study.results, row("a")["experiment"]) == [row("a")]
    assert "part 1 of 2: b" in capsys.readouterr().err


def test_after_each_part_the_card_is_written(study):
    """The second part stops; the card is that of the first."""
    path = study.checkpoints / "net.safetensors"
    about = {"config": vars(TINY), "device": "cpu", "seconds": 60.0}
    checkpoints.write(path, {"a": torch.zeros(1)}, about)
    found = rows.examples()["training"]
    parts = {"a": lambda _: [found | {"checkpoint": checkpoints.digest(path)}], "b": nothing}
    with pytest.raises(RuntimeError):
        recording.run(parts, study)
    card = (study.checkpoints / "README.md").read_text()
    assert card == publishing.card(store.read(study.results), study.checkpoints)
    assert "| 2.00% |" in card


def test_finished_parts_are_skipped(study, capsys):
    recording.run(fake("a", "b"), study)
    before = (study.results / "a.jsonl").read_bytes()
    parts = fake("a", "c", "b", value=2.0)
    recording.run(parts, study)
    assert parts.ran == ["c"] and set(recorded(study)) == {"a", "b", "c"}
    assert (study.results / "a.jsonl").read_bytes() == before
    assert "part 1 of 1: c" in capsys.readouterr().err


def test_a_part_whose_file_was_deleted_runs_again(study):
    recording.run(fake("a", "b"), study)
    (study.results / "a.jsonl").unlink()
    parts = fake("a", "b", value=2.0)
    recording.run(parts, study)
    assert parts.ran == ["a"]
    found = [r["value"]["value"] for _, r in store.numbered(study.results / "a.jsonl")]
    assert found == [2.0] * 2


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ValueError("no"), OSError("full")])
def test_a_part_that_stops_leaves_nothing_and_those_before_it_stay(study, problem):
    kind = problem if isinstance(problem, type) else type(problem)
    parts = fake("a", "b", "c", stops="b", problem=problem)
    with pytest.raises(kind):
        recording.run(parts, study)
    assert parts.ran == ["a", "b"] and set(recorded(study)) == {"a"}
    again = fake("a", "b", "c")
    recording.run(again, study)
    assert again.ran == ["b", "c"] and set(recorded(study)) == {"a", "b", "c"}


def test_two_processes_share_the_parts(study):
    """What another one has made while this one waited for it is not made again."""
    parts = fake("a", "b")

    def meanwhile(places):
        store.append(study.results / "b.jsonl", row("b"))
        return [row("a")]

    recording.run({"a": meanwhile, "b": parts["b"]}, study)
    assert parts.ran == [] and recorded(study) == {"a": ["a"], "b": ["b"]}


def test_a_part_is_made_by_one_process(study):
    """It holds the lock while it runs, and leaves none."""
    seen = []

    def part(places):
        seen.extend(path.name for path in study.results.iterdir())
        return [row("a")]

    recording.run({"a": part}, study)
    assert seen == [".a.lock"] and [p.name for p in study.results.iterdir()] == ["a.jsonl"]


def test_a_part_without_rows(study):
    with pytest.raises(RuntimeError, match="part b left no rows to record"):
        recording.run(fake("a") | {"b": nothing}, study)
    assert set(recorded(study)) == {"a"}


def test_a_value_that_is_no_number_is_not_recorded(study):
    bad = row("a") | {"value": {"value": float("nan")}}
    with pytest.raises(store.RowError, match="value is nan"):
        recording.run({"a": lambda _: [bad]}, study)
    assert recorded(study) == {}


def test_code_that_differs_from_its_commit_runs_nothing(study, monkeypatch):
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": "a" * 40, "dirty": True})
    parts = fake("a", "b")
    with pytest.raises(RuntimeError, match="helpers/ or study/ differs from its last commit"):
        recording.run(parts, study)
    assert parts.ran == [] and list(study.root.iterdir()) == []


def test_code_of_no_known_commit_records_only_when_asked(study, monkeypatch):
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": None, "dirty": None})
    with pytest.raises(RuntimeError, match="the commit of this code is not known .*--unknown-com"):
        recording.run(fake("a"), study)
    assert list(study.root.iterdir()) == []
    recording.run(fake("a"), study, unknown_commit=True)
    assert set(recorded(study)) == {"a"}


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_of_rows_is_not_finished(study, content):
    study.results.mkdir(parents=True)
    (study.results / "a.jsonl").write_text(content)
    parts = fake("a")
    recording.run(parts, study)
    assert parts.ran == ["a"] and set(recorded(study)) == {"a"}


def test_where_nothing_is_left_to_do_the_code_does_not_matter(study, monkeypatch):
    recording.run(fake("a"), study)
    monkeypatch.setattr(commit, "code_version", lambda: {"commit": "a" * 40, "dirty": True})
    recording.run(fake("a"), study)


def test_the_time_that_is_left(study, capsys, monkeypatch):
    """Three parts of 10, 20 and 30 seconds, at the mean pace so far."""
    clock = iter([0, 10, 30, 60])
    monkeypatch.setattr(recording, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    recording.run(fake("a", "b", "c"), study)
    said = capsys.readouterr().err.splitlines()[1::2]
    assert said == [
        f"{name}: 2 rows recorded; at this pace {left} left"
        for name, left in (("a", "0:00:20"), ("b", "0:00:15"), ("c", "0:00:00"))
    ]


@pytest.fixture
def trains(study, monkeypatch):
    """Networks are trained in a folder of the study; the list of their labels."""
    labels, train = [], loop.train

    def noted(config, *words, **options):
        labels.append(config.label)
        return train(config, *words, **options)

    monkeypatch.setattr(loop, "train", noted)
    monkeypatch.setattr(publishing, "ROUNDING", 1.0)
    return labels


def test_a_network_is_trained_and_put_on_the_shelf(study, trains):
    (found,) = recording.run_network(TINY, False, study)
    (cached,), (kept,) = (list(place.iterdir()) for place in (study.trained, study.checkpoints))
    assert cached.name == kept.name
    assert found["model"] == TINY.label and found["experiment"] == "training"
    assert kept.stat().st_size < 0.6 * cached.stat().st_size


def test_a_network_on_the_shelf_is_not_trained_again(study, trains):
    one, again = (recording.run_network(TINY, keep, study)[0] for keep in (False, True))
    assert trains == [TINY.label]
    assert {name: again[name] for name in ("checkpoint", "config", "model")} == {
        name: one[name] for name in ("checkpoint", "config", "model")
    }


def test_weights_are_kept_where_a_chapter_looks_at_the_course(study, trains):
    recording.run_network(TINY, True, study)
    names = [file.stem.split("-")[-1] for file in study.trained.glob("*-at*")]
    assert sorted(names) == ["at0", "at1", "at2"]
    assert len(list((study.checkpoints).iterdir())) == 1


# Running a notebook.


@pytest.fixture
def papermill(study, monkeypatch):
    """In the place of papermill: notes its command and leaves the rows in `.rows`."""

    def run(command, **options):
        run.command, run.options = command, options
        store.append(study.runs / "reference/part/results/x.jsonl", *run.rows)

    run.rows = []
    monkeypatch.setattr(recording.subprocess, "run", run)
    return run


def test_rows_of_other_experiments_are_not_recorded(study, papermill):
    papermill.rows = [row("a"), row("b"), row("c")]
    chapter = Chapter("02_reordering", {}, ("bench a", "bench c"))
    assert recording.run_chapter("part", chapter, study) == [row("a"), row("c")]


def test_rows_of_a_run_that_was_interrupted_do_not_count(study, papermill):
    chapter, papermill.rows = Chapter("02_reordering", {}, ("bench a",)), [row("a", 2.0)]
    store.append(study.runs / "reference/part/results/x.jsonl", row("a", 1.0))
    store.append(study.runs / "reference/part/results/y.jsonl", row("a", 1.0))
    for _ in range(2):
        assert recording.run_chapter("part", chapter, study) == [row("a", 2.0)]


def test_a_notebook_gets_its_parameters_and_a_folder(study, papermill):
    settings = {"n_images": 3, "dataset": "cifar10", "at_image": True}
    recording.run_chapter("part", Chapter("02_reordering", settings, ()), study)
    words, folder = papermill.command, study.runs / "reference/part"
    assert words[:4] == [sys.executable, "-m", "papermill", str(NOTEBOOKS / "02_reordering.ipynb")]
    given = json.loads(Path(words[words.index("-f") + 1]).read_text())
    assert given == settings | {"runs_dir": str(folder)}
    assert papermill.options == {"check": True, "cwd": NOTEBOOKS.parent}


def test_all_chapters_find_checkpoints_in_one_place(study, papermill):
    for name in ("part", "other", "part"):
        recording.run_chapter(name, Chapter("02_reordering", {}, ()), study)
    (study.trained / "a.safetensors").write_text("weights")
    for name in ("part", "other"):
        assert (
            study.runs / "reference" / name / "checkpoints/a.safetensors"
        ).read_text() == "weights"


def test_a_chapter_for_real(study):
    """Six orders of a network of nine modules, trained in the shared folder."""
    settings = {"depth": 20, "iterations": 2, "n_images": 16, "n_orders": 6}
    chapter = Chapter("02_reordering", settings, ("reordering",))
    (found,) = recording.run_chapter("tiny", chapter, study)
    assert (found["experiment"], found["dataset"], found["samples"]) == ("reordering", "digits", 6)
    assert len(found["value"]["orders"]) == 6
    assert (found["config"]["depth"], found["config"]["images"]) == (20, 16)
    assert len(list(study.trained.glob("resnet20-digits-s0-*.safetensors"))) == 1
    assert (study.runs / "reference/tiny/out.ipynb").is_file()


def test_a_notebook_that_fails(study):
    chapter = Chapter("no_such_notebook", {}, ("a",))
    with pytest.raises(subprocess.CalledProcessError):
        recording.run_chapter("part", chapter, study)


# The command line.


@pytest.fixture
def command(study, monkeypatch):
    """What `python -m study.reference` returns, run here on a machine without a GPU."""
    monkeypatch.setattr(recording, "find_device", lambda: torch.device("cpu"))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["reference", *words])
        return recording.main(study)

    return call


@pytest.fixture
def asked(command, monkeypatch):
    """The parts that the command would run: a list of (name, what it would run)."""
    found = []
    monkeypatch.setattr(recording, "run_network", lambda *words: words)
    monkeypatch.setattr(recording, "run_chapter", lambda *words: words)
    monkeypatch.setattr(recording, "run_small_networks", lambda places: ("small",))

    def run(parts, places, unknown_commit):
        assert not unknown_commit
        found.extend((name, part(places)) for name, part in parts.items())

    monkeypatch.setattr(recording, "run", run)
    return found


def all_parts(size):
    return [*plan.networks(SIZES[size]), *plan.chapters(SIZES[size]), "digits"]


def test_without_names_all_parts_run_networks_first(command, asked):
    assert command() == 0
    assert [name for name, _ in asked] == all_parts("short")
    networks, chapters = (f(SIZES["short"]) for f in (plan.networks, plan.chapters))
    assert asked.pop() == ("digits", ("small",))
    for name, what in asked:
        expected = (name, chapters[name]) if name in chapters else (networks[name],)
        assert what[: len(expected)] == expected


def test_small_networks_are_parts_of_one_part(monkeypatch):
    monkeypatch.setattr(recording, "run_network", lambda config, keep, _: [(config, keep)])
    assert recording.run_small_networks() == [(config, False) for config in plan.small_networks()]


def test_only_the_parts_that_are_named_run_in_their_order(command, asked):
    assert command("deletion", "resnet110") == 0
    assert [name for name, _ in asked] == ["deletion", "resnet110"]


@pytest.mark.parametrize("size, first", [("short", "all-modules-0"), ("paper", "resnet110")])
def test_three_networks_are_watched_while_they_train(command, asked, size, first):
    """Those with all modules that are compared: the chapter on dynamics loads them, one a part."""
    assert command("--size", size) == 0
    kept = [name for name, what in asked if isinstance(what[0], TrainConfig) and what[1]]
    assert kept == [first, "all-modules-1", "all-modules-2"]
    chapters, found = plan.chapters(SIZES[size]), plan.networks(SIZES[size])
    looked_at = [needed(chapters[name]) for name in ("dynamics", "dynamics-1", "dynamics-2")]
    assert looked_at == [[found[name]] for name in kept]


def test_nothing_but_a_gpu_that_trains_runs_the_papers_size(command, asked, monkeypatch):
    monkeypatch.setattr(recording, "find_device", lambda: torch.device("mps"))
    assert command() == 0
    assert [name for name, _ in asked] == all_parts("short")


def test_a_gpu_runs_the_papers_size_unless_told_otherwise(command, asked, monkeypatch):
    monkeypatch.setattr(recording, "find_device", lambda: torch.device("cuda"))
    assert command() == 0
    assert [name for name, _ in asked] == all_parts("paper")
    assert dict(asked)["resnet110"][0] == TrainConfig()
    asked.clear()
    assert command("--size", "short") == 0
    assert [name for name, _ in asked] == all_parts("short")


def test_an_unknown_part(command, asked, capsys):
    with pytest.raises(SystemExit) as caught:
        command("resnet110", "resnet200")
    assert caught.value.code == 2 and asked == []
    error = capsys.readouterr().err
    assert f"no part is called resnet200: expected one of {', '.join(all_parts('short'))}" in error


def test_the_list_of_parts(command, study, capsys, asked):
    store.append(study.results / "vgg15.jsonl", row("a"))
    assert command("--list") == 0 and asked == []
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == all_parts("short")
    assert [line.split()[-1] for line in lines if line.startswith("finished")] == ["vgg15"]
    assert all(line.startswith(("finished  ", "to do     ")) for line in lines)


@pytest.mark.parametrize(
    "problem, code, said",
    [
        (ValueError("a wrong value"), 1, "error: a wrong value"),
        (OSError("the disk is full"), 1, "error: the disk is full"),
        (RuntimeError("no rows"), 1, "error: no rows"),
        (publishing.RoundingError("too coarse"), 1, "error: too coarse"),
        (subprocess.CalledProcessError(3, "x"), 1, "error: the notebook stopped (3)"),
    ],
)
def test_what_stops_the_command_is_one_line(command, monkeypatch, capsys, problem, code, said):
    def run(parts, places, unknown_commit):
        raise problem

    monkeypatch.setattr(recording, "run", run)
    assert command() == code
    out, error = capsys.readouterr()
    assert out == "" and error.strip().startswith(said) and error.strip().count("\n") == 0


def test_help(command, capsys):
    """What the file says it is, and what each option is for."""
    with pytest.raises(SystemExit) as caught:
        command("--help")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "The reference study" in said and "(here: short)" in said and "--list" in said
