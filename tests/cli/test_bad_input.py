"""Wrong input ends with one sentence, exit code 2 and nothing half-made; never with a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from graphkit.cli.main import main
from graphkit.graph.store import _seal as seal_of_store
from graphkit.training import Run

TRIPLES = [(f"n{i}", name, f"n{(i + jump) % 12}") for i in range(12) for name, jump in (("next", 1), ("likes", 5))]
TSV = "".join("\t".join(triple) + "\n" for triple in TRIPLES)

#: Runs a line that must fail, and returns its sentence.
Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    def run(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert ended.value.code == 2, captured.err
        assert captured.out == ""
        assert "Traceback" not in captured.err
        assert captured.err.count("\n") == 1 and captured.err.endswith("\n"), captured.err
        assert captured.err.startswith("graphkit: ")
        return captured.err.removeprefix("graphkit: ").rstrip("\n")

    return run


def succeed(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph, ``kg``, and a run on it, ``run``."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "all.tsv").write_text(TSV)
    succeed("data", "import", folder / "all.tsv", "--out", folder / "kg")
    words = ["model.dim=8", "trainer.max_steps=4", "trainer.checkpoint_every=2", "trainer.keep=9"]
    succeed("train", f"graph={folder / 'kg'}", f"run_dir={folder / 'run'}", *words)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to damage, as the working folder."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    # The run's settings name its graph: the copy's.
    config = Path("run/config.yaml")
    config.write_text(config.read_text().replace(str(made), str(tmp_path / "here")))
    return tmp_path / "here"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---- files to import


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "bad.tsv is empty; expected one triple a line (head, relation, tail)"),
        ("\n\n", "bad.tsv is empty; expected one triple a line (head, relation, tail)"),
        (
            TSV + "n1\tnext\n",
            "bad.tsv, line 25: 2 columns under the delimiter tab in 'n1\\tnext'; expected 3 (hrt), so mend the line, "
            "or set delimiter or columns",
        ),
        (
            TSV + "n1\tnext\tn2\tn3\n",
            "bad.tsv, line 25: 4 columns under the delimiter tab in 'n1\\tnext\\tn2\\tn3'; expected 3 (hrt), so mend "
            "the line, or set delimiter or columns",
        ),
        (
            TSV + "n1\t\tn2\n",
            "bad.tsv, line 25: the relation is empty in 'n1\\t\\tn2'; a triple needs a head, a relation and a tail, so "
            "fill it in or take the line out",
        ),
        (
            "just words\n",
            "bad.tsv, line 1: no delimiter out of tab, comma, semicolon, pipe, space gives three columns in "
            "'just words'; put head, relation and tail on each line, or set delimiter",
        ),
    ],
)
def test_malformed_files(fails: Fails, here: Path, content: str, sentence: str) -> None:
    Path("bad.tsv").write_text(content)
    before = tree(here)
    assert fails("data", "import", "bad.tsv", "--out", "new") == sentence
    assert tree(here) == before and not Path("new").exists()


def test_malformed_line_far_down_is_found(fails: Fails, here: Path) -> None:
    Path("bad.tsv").write_text(TSV * 50 + "n1 next n2\n" + TSV)
    sentence = fails("data", "import", "bad.tsv", "--out", "new")
    assert sentence.startswith(
        "bad.tsv, line 1201: only one column under the delimiter tab in 'n1 next n2'; expected 3"
    )
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--entities", 0], "entities is 0, and a synthetic graph needs 1 or more; give a larger number"),
        (["--seed", -1], "seed is -1, and a synthetic graph needs 0 or more; give a larger number"),
        (
            ["--edges", 900],
            "900 edges do not fit: the largest of 4 relations would have 295, and the largest type of its heads and "
            "tails has 9 of the 9 entities; give at most 219 edges, or more entities",
        ),
        (["--out", "kg"], "kg exists already; choose another folder or say overwrite (--overwrite)"),
        (
            ["--out", "run", "--overwrite"],
            "run is no graph store (it has no graph.json), so it is not replaced; choose another",
        ),
    ],
)
def test_impossible_synthetic_graphs(fails: Fails, here: Path, words: list[object], sentence: str) -> None:
    before = tree(here)
    sizes = ["--entities", 9, "--relations", 4, "--edges", 20, "--out", "new"]
    assert fails("data", "synth", *sizes, *words) == sentence
    assert tree(here) == before and not Path("new").exists()


def test_missing_file_and_existing_folder(fails: Fails, here: Path) -> None:
    assert fails("data", "import", "nowhere.tsv", "--out", "new") == "there is no file nowhere.tsv; check the path"
    before = tree(here)
    assert fails("data", "import", "all.tsv", "--out", "kg").startswith("kg exists already; choose another folder")
    assert fails("data", "import", "all.tsv", "--out", "run", "--overwrite").startswith("run is no graph store")
    assert tree(here) == before


@pytest.mark.parametrize(
    ("option", "pattern"),
    [
        (["--columns", "hrx"], r"columns is 'hrx'; it needs one letter a column"),
        (["--delimiter", "none"], r"delimiter is 'none'; allowed are one ASCII character or one of tab"),
        (["--split", "0.9", "0.9", "0.9"], r"the split is 0.9"),
    ],
)
def test_options_of_an_import(fails: Fails, here: Path, option: list[str], pattern: str) -> None:
    assert re.match(pattern, fails("data", "import", "all.tsv", "--out", "new", *option))
    assert not Path("new").exists()


# ---- questions


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("?x : next(?x, n111)", "the graph has no entity 'n111'; nearest: n11, n1"),
        ("?x : next(?x, N3)", "the graph has no entity 'N3'; nearest: n3"),
        ("?x : lieks(?x, n1)", "the graph has no relation 'lieks'; nearest: likes"),
        ("?x : likes(?x, Zanzibar)", "the graph has no entity 'Zanzibar', nor one spelled like it; it has 12, e.g. "),
        ("", "the pattern has no answer variable at position 1 (>>>); write e.g. ?x : borders(?x, France)"),
        ("?x next(?x, n1)", "the pattern has no ':' where one is needed at position 4 (?x  >>> next(?x, n1))"),
        ("?x : next(?x, n1", "the pattern has no ')' where one is needed at position 17"),
        ("?x : next(n1, n2)", "the pattern has no variable in a condition that needs one at position 6"),
        ("?x : next(?y, n2)", "the pattern has no condition on ?x in a group that needs one "),
        ("?x : not next(?x, n1)", "the pattern has nothing but negated conditions on ?x, so that it is unbounded "),
        ("?x : next(?x, ?y), next(?y, ?x)", "the pattern has a second link between ?y and ?x, which makes it cyclic "),
    ],
)
def test_questions_that_cannot_be_read(fails: Fails, made: Path, question: str, sentence: str) -> None:
    assert fails("answer", made / "run", question).startswith(sentence)


def test_number_of_answers(fails: Fails, made: Path) -> None:
    for top in (0, -3):
        sentence = fails("answer", made / "run", "?x : next(?x, n1)", f"--top={top}")
        assert sentence == f"top is {top}, and at least 1 is needed"


# ---- settings


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model.dmi=4"], "there is no setting 'model.dmi'; nearest: model.dim"),
        (
            ["model=transe", "model.margni=4"],
            "there is no setting 'model.margni'; nearest: model.margin, model.dim, model.norm",
        ),
        (
            ["trainer.max_step=3"],
            "there is no setting 'trainer.max_step'; nearest: trainer.max_steps, trainer.max_epochs, trainer.keep",
        ),
        (["sed=1"], "there is no setting 'sed'; nearest: seed"),
        (["modle=transe"], "there is no setting 'modle'; nearest: model"),
        (["qqqqq=1"], "there is no setting 'qqqqq'; graphkit train --cfg job shows all settings"),
        (["+model.width=3"], "model has no setting 'width'; settings: dim, init_scale, reciprocal, intersection"),
        (["+trainer.max_step=3"], "trainer has no setting 'max_step'; nearest: max_steps, max_epochs; settings: "),
        (["+sampler.seed=3"], "sampler has no setting 'seed'; "),
        (["seed=abc"], "seed is abc, and a whole number is needed"),
        (["seed=-1"], "seed is -1, and a number from 0 to 2**63 - 1 is needed"),
        (["overwrite=perhaps"], "overwrite is perhaps, and true or false is needed"),
        (["run_dir=[1]"], "run_dir is [1], and a text is needed"),
        (["allow_targets=mine."], "allow_targets is mine., and a list such as [my_package.] is needed"),
        (["model.dim=abc"], "model.dim is 'abc', and a whole number is needed"),
        (["model.dim=2.5"], "model.dim is 2.5, and a whole number is needed"),
        (["model.dim=null"], "model.dim is null, and a whole number is needed"),
        (["model.dim=true"], "model.dim is True, and a whole number is needed"),
        (["model.dim=[8]"], "model.dim is [8], and a whole number is needed"),
        (["model.reciprocal=perhaps"], "model.reciprocal is 'perhaps', and true or false is needed"),
        (["model.dim=-4"], "model.dim is -4, and at least 1 is needed; give the number of reals of an entity row"),
        (["model.dim=0"], "model.dim is 0, and at least 1 is needed; give the number of reals of an entity row"),
        (["model.dim=7"], "model.dim is 7, and a complex row needs an even number of reals; give 8"),
        (["model=transe", "model.norm=3"], "model.norm is 3, and 1 or 2 is needed"),
        (["optimizer.lr=abc"], "optimizer.lr is 'abc', and a number is needed"),
        (["optimizer.lr=0"], "the optimizer has lr=0 and eps=1e-10; lr must be above 0 and eps not below 0"),
        (["task.n3=-1"], "task.n3 is -1, and 0 (no penalty) or more is needed"),
        (["task.n3=much"], "task.n3 is 'much', and a number or null is needed"),
        (["task.weighting=degree"], "task.weighting is 'degree', and none or answers is needed"),
        (["task.validation_triples=few"], "task.validation_triples is 'few', and a whole number or null is needed"),
        (["sampler.mode=many"], "mode is 'many', and one of none, own, shared is needed"),
        (["sampler.batch_size=big"], "sampler.batch_size is 'big', and a whole number or null is needed"),
        (["sampler.batch_size=0"], "sampler.batch_size is 0, and at least 1 is needed"),
        (["sampler.threads=0"], "the sampler has threads=0 and ahead=4, and at least 1 of each is needed"),
        (["sampler.structures=2q"], "there is no query structure '2q'"),
        (["trainer.max_steps=0"], "trainer.max_steps is 0, and a number above 0 is needed"),
        (["trainer.max_steps=1.5"], "trainer.max_steps is 1.5, and a whole number or null is needed"),
        (["trainer.keep=null"], "trainer.keep is null, and a whole number is needed"),
        (["trainer.threads=0"], "trainer.threads is 0, and at least 1 is needed; null decides by size"),
        (
            ["sampler=one_vs_all", "loss=logsigmoid"],
            "the loss LogSigmoid needs negatives and the sampler draws none; choose sampler=own, sampler=shared or "
            "loss=softmax",
        ),
        (
            ["model=complx"],
            "there is no model 'complx'; nearest: complex; allowed: betae, complex, distmult, gcn_encoder, gqe, "
            "query2box, rotate, sgc_encoder, transe",
        ),
        (["loss=hinge"], "there is no loss 'hinge'; allowed: cca_ssg, coles, grace, logsigmoid, sce, softmax"),
        (["experiment=demos"], "there is no experiment 'demos'; nearest: demo; allowed: demo, "),
        (["model=null"], "a group takes the name of a choice, e.g. model=complex; graphkit train --help lists them"),
        (["~model"], "model is null, and a part with a _target_ is needed; choose model=NAME"),
        (["model.dim={a: 1}"], "model.dim is {'a': 1}, and a whole number is needed"),
        (["model.dim"], "the settings cannot be read: Error parsing override 'model.dim' missing EQUAL at '<EOF>'; "),
        (["model.dim=[1"], "the settings cannot be read: no viable alternative at input '[1'; write "),
        (["seed=${nowhere}"], "seed is wrong: Interpolation key 'nowhere' not found; "),
        (["resume.x=1"], "resume.x is 1, and one of the settings that graphkit train --cfg job shows is needed"),
        (
            ["+resume=run"],
            "resume is run, and it stands at the head of a line of its own: write graphkit train resume=run, ",
        ),
        (
            ["model._target_=os.system"],
            "the target os.system is outside of graphkit.; a configuration can run any code it names, so "
            "say allow_targets=[os.] if you trust it",
        ),
        (
            ["model._target_=graphkit.models.Complx"],
            "the target graphkit.models.Complx does not exist; check its spelling and that its package is installed",
        ),
        (
            ["model._target_=graphkit.losses.Softmax"],
            "model._target_ is graphkit.losses.Softmax, which makes no Model; choose model=NAME",
        ),
        (
            ["loss._target_=graphkit.models.ComplEx"],
            "loss._target_ is graphkit.models.ComplEx, which makes no Loss; choose loss=NAME",
        ),
        (
            ["loss=grace"],
            "loss._target_ is graphkit.losses.GRACE, which makes no Loss; it is for graphs of nodes, which "
            "experiment=structcomp trains on",
        ),
        # Graphkit's own modules lead to others, and its functions write files: neither is within reach.
        (
            ["graph._target_=graphkit.training.run.subprocess.run"],
            "the target graphkit.training.run.subprocess.run does not exist; check its spelling and that its package "
            "is installed",
        ),
        (
            ["graph._target_=graphkit.atomic.write_text"],
            "graph._target_ is graphkit.atomic.write_text, which makes no KnowledgeGraph; choose graph=NAME",
        ),
    ],
)
def test_settings_of_a_run(fails: Fails, here: Path, words: list[str], sentence: str) -> None:
    before = tree(here)
    found = fails("train", "graph=kg", "run_dir=new", "trainer.max_steps=2", *words)
    assert found.startswith(sentence)
    if sentence[-1].isalnum():
        assert found == sentence
    assert tree(here) == before and not Path("new").exists()


def test_unknown_graph_lists_what_there_is(fails: Fails, here: Path) -> None:
    listed = r"named graphs: .*fb15k237, geography, .*; a folder is made by graphkit data import \(or import-nodes\)"
    for word, what in (
        ("graph=geografy", r"graph=geografy is neither a named graph nor a folder; nearest: geography; "),
        ("graph=nowhere", r"graph=nowhere is neither a named graph nor a folder; "),
        ("graph=run", r"graph=run exists but is no graph store; "),
    ):
        assert re.fullmatch(what + listed, fails("train", word, "run_dir=new"))
    sentence = "graph.path has no value and needs one; give graph=FOLDER or graph.path=VALUE"
    assert fails("train", "graph=store", "run_dir=new") == sentence
    assert not Path("new").exists()


def test_named_set_without_its_files(fails: Fails, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    needed = "kg/umls/{train.txt.gz,valid.txt.gz,test.txt.gz}"
    assert fails("train", "graph=umls", "run_dir=new") == (
        "the data set umls needs the environment variable GRAPHKIT_DATA, which is not set; set it to a folder that "
        f"holds {needed}"
    )
    monkeypatch.setenv("GRAPHKIT_DATA", str(here))
    assert fails("train", "graph=umls", "run_dir=new") == (
        f"the data set umls lacks train.txt.gz, valid.txt.gz, test.txt.gz in {here}/kg/umls; put {needed} below "
        f"{here}, or set GRAPHKIT_DATA to the folder that holds them"
    )
    assert not Path("new").exists()


def test_folders_that_are_no_runs_are_not_replaced(fails: Fails, here: Path) -> None:
    before = tree(here)
    assert fails("train", "graph=kg", "run_dir=kg", "overwrite=true") == (
        "kg exists and is no run folder (it has no config.yaml), so overwrite=true does not replace it; choose another "
        "run_dir"
    )
    assert tree(here) == before


def test_run_folder_that_cannot_be_made(fails: Fails, here: Path) -> None:
    sentence = fails("train", "graph=kg", "run_dir=all.tsv/run", "model.dim=8", "trainer.max_steps=2")
    assert sentence.startswith("all.tsv/run was not written: Not a directory")


# ---- damaged and foreign stores


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def verbs_on_the_graph() -> list[list[str]]:
    return [
        ["train", "graph=kg", "run_dir=new", "trainer.max_steps=2"],
        ["train", "resume=run"],
        ["evaluate", "run"],
        ["answer", "run", "?x : next(?x, n1)"],
    ]


@pytest.mark.parametrize("name", ["targets.bin", "run_starts.bin", "test.bin", "entities.arrow"])
def test_damaged_store(fails: Fails, here: Path, name: str) -> None:
    damage(Path("kg") / name)
    for verb in verbs_on_the_graph():
        assert fails(*verb).endswith(
            f"kg/{name} is damaged: its checksum differs from the one in graph.json; restore it from a copy or import "
            "the graph again"
        )
    assert not Path("new").exists()


def test_damaged_header_and_missing_file(fails: Fails, here: Path) -> None:
    damage(Path("kg/graph.json"))
    for verb in verbs_on_the_graph():
        assert re.search(r"kg/graph\.json is damaged: it(s checksum differs| cannot be read)", fails(*verb))
    shutil.rmtree("kg")
    succeed("data", "import", "all.tsv", "--out", "kg")
    Path("kg/targets.bin").unlink()
    for verb in verbs_on_the_graph():
        assert "kg/targets.bin is damaged: it is missing" in fails(*verb)


def test_newer_store(fails: Fails, here: Path) -> None:
    header = json.loads(Path("kg/graph.json").read_text())
    header["version"] = 99
    del header["checksum"]
    header["checksum"] = seal_of_store(header)
    Path("kg/graph.json").write_text(json.dumps(header))
    for verb in verbs_on_the_graph():
        assert fails(*verb).endswith(
            "kg/graph.json has version 99, and this graphkit reads up to 1; install a newer graphkit or import the "
            "graph again"
        )


def test_checkpoint_of_another_graph(fails: Fails, here: Path) -> None:
    Path("other.tsv").write_text(TSV + "n1\tnext\tn99\n")
    succeed("data", "import", "other.tsv", "--out", "other")
    before = tree(Path("run"))
    pattern = r"the run run was trained on the graph [0-9a-f]{16} and this graph is [0-9a-f]{16}; its ids would be "
    assert re.match(pattern, fails("evaluate", "run", "graph.path=other"))
    shutil.rmtree("kg")
    shutil.move("other", "kg")
    for verb in verbs_on_the_graph()[1:]:
        assert re.match(pattern, fails(*verb))
    assert tree(Path("run")) == before


# ---- damaged and missing runs


@pytest.mark.parametrize("verb", [["train", "resume={}"], ["evaluate", "{}"], ["answer", "{}", "?x : next(?x, n1)"]])
def test_run_that_is_none(fails: Fails, here: Path, verb: list[str]) -> None:
    for name, why in (("nowhere", "does not exist"), ("kg", "has no config.yaml")):
        sentence = fails(*(word.format(name) if word[0] != "?" else word for word in verb))
        assert sentence == f"{name} is no run folder: it {why}; name the run_dir of an earlier graphkit train"
    shutil.rmtree("run/checkpoints")
    if verb[0] != "train":  # which begins again
        assert fails(*(word.format("run") if word[0] != "?" else word for word in verb)) == (
            "the run run has no checkpoint yet; let graphkit train resume=run make one"
        )
    Path("run/config.yaml").write_text("]")
    assert fails(*(word.format("run") if word[0] != "?" else word for word in verb)) == (
        "run/config.yaml is missing or damaged; restore it from a copy, or train again with another run_dir"
    )


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
def test_damaged_checkpoint(fails: Fails, here: Path, name: str) -> None:
    newest = Path("run/checkpoints/step-00000004")
    best = Path(f"run/checkpoints/step-{Run.open('run').best_step():08d}")
    for folder in {newest, best}:
        damage(folder / name)
    for verb, folder in zip(verbs_on_the_graph()[1:], (newest, best, best), strict=True):
        # Which checkpoint is the best stands in the state of the newest.
        read = newest if name == "state.json" else folder
        assert fails(*verb) == (
            f"{read / name} is damaged: it differs from what was saved; remove {read} and resume from an earlier one"
        )


def test_run_stopped_before_its_first_checkpoint_begins_again(here: Path) -> None:
    weights = Path("run/checkpoints/step-00000004/weights.safetensors")
    before = weights.read_bytes()
    shutil.rmtree("run/checkpoints")
    succeed("train", "resume=run")
    assert weights.read_bytes() == before
    assert [entry["step"] for entry in Run.open("run").history()] == [1, 2, 3, 4]


def test_advice_on_a_damaged_checkpoint_works(here: Path) -> None:
    newest = Path("run/checkpoints/step-00000004")
    damage(newest / "state.json")
    shutil.rmtree(newest)
    succeed("train", "resume=run")
    assert sorted(path.name for path in Path("run/checkpoints").iterdir())[-1] == "step-00000004"


def test_lost_file_of_a_checkpoint(fails: Fails, here: Path) -> None:
    Path("run/checkpoints/step-00000004/optimizer.safetensors").unlink()
    assert "optimizer.safetensors is damaged" in fails("train", "resume=run")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["model.dim=16"],
            "'model.dim' cannot be set here; settings: trainer.max_steps, trainer.max_epochs, trainer.patience, "
            "trainer.keep, trainer.threads",
        ),
        (["seed=3"], "'seed' cannot be set here; settings: trainer.max_steps, "),
        (["trainer.max_step=9"], "'trainer.max_step' cannot be set here; nearest: trainer.max_steps, "),
        (["run_dir=elsewhere"], "'run_dir' cannot be set here; "),
        (["onwards"], "'onwards' is no setting; write key=value"),
        (["trainer.max_steps=abc"], "trainer.max_steps is 'abc', and a whole number or null is needed"),
        (
            ["trainer.max_steps=3"],
            "trainer.max_steps is 3, and the run run has taken 4 steps already; give at least that",
        ),
        (["resume=kg"], "resume=run,kg names no single run; write resume=RUN once"),
    ],
)
def test_what_a_resumed_run_may_not_change(fails: Fails, here: Path, words: list[str], sentence: str) -> None:
    before = tree(here)
    assert fails("train", "resume=run", *words).startswith(sentence)
    assert tree(here) == before


def test_evaluation_takes_settings_of_the_graph_alone(fails: Fails, here: Path) -> None:
    assert fails("evaluate", "run", "model.dim=16") == (
        "'model.dim' cannot be set here; settings: graph.path, graph.resident, graph.verify, allow_targets, queries"
    )
    assert fails("evaluate", "run", "fast") == "'fast' is no setting; write key=value"
    assert fails("evaluate", "run", "graph.path=nowhere") == (
        "the graph store nowhere does not exist; if it has moved, say graph.path=FOLDER"
    )


# ---- training that breaks off


def test_loss_that_is_no_number(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["graph=kg", "run_dir=new", "model.dim=8", "optimizer.lr=1e30", "trainer.max_steps=50", "seed=11"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *words, "trainer.validate_every=0"])
    *progress, sentence = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    pattern = (
        r"graphkit: the loss of step (\d+) \(batch (\d+)\) is (nan|inf) \(seed 11\); train again with a lower optim.*"
    )
    found = re.fullmatch(pattern, sentence)
    assert found and int(found[1]) == int(found[2]) + 1
    assert not any(line.startswith("graphkit:") for line in progress)
    assert not Path("new/metrics.json").exists()


def test_disk_full_in_mid_save(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    from graphkit import checkpoint

    before = tree(Path("run/checkpoints"))

    def save_file(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    with pytest.raises(SystemExit) as ended:
        main(["train", "resume=run", "trainer.max_steps=5"])
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert sentence == (
        "graphkit: run/checkpoints/step-00000005 was not written: the disk is full; what stood there before is "
        "untouched; free some space and try again"
    )
    assert tree(Path("run/checkpoints")) == before
    monkeypatch.undo()
    monkeypatch.chdir(here)
    succeed("train", "resume=run", "trainer.max_steps=5")  # the same command again


def test_traceback_comes_when_it_is_asked_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphkit.errors import GraphkitError

    monkeypatch.setenv("GRAPHKIT_TRACEBACK", "1")
    with pytest.raises(GraphkitError, match="is no run folder"):
        main(["evaluate", "nowhere"])


@pytest.mark.parametrize("words", [[], ["trian"], ["answer", "run"], ["answer", "run", "?x : a(?x, b)", "--top", "x"]])
def test_verbs_and_options_that_are_none(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("usage: graphkit") and "error: " in error


def test_a_run_from_somebody_else_runs_none_of_their_code(fails: Fails, here: Path) -> None:
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    config["allow_targets"] = ["os."]
    config["graph"] = {"_target_": "os.mkdir", "path": "hacked"}
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    for verb in verbs_on_the_graph()[1:]:
        assert fails(*verb).startswith("the target os.mkdir is outside of graphkit.; ")
    assert not Path("hacked").exists()


def test_too_little_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: object) -> int:
        raise MemoryError("14.9 GiB")

    monkeypatch.setattr("graphkit.cli.main._synth", run)
    with pytest.raises(SystemExit) as ended:
        main(["data", "synth", "--entities", "1", "--relations", "1", "--edges", "1", "--out", "kg"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "graphkit: there is not enough memory (14.9 GiB); give smaller numbers, or close programs\n"
    )
