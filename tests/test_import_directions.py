"""A room of graphkit imports what stands above it in one order, never what stands below."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "graphkit"

# From the top (imported by all) to the command line (imported by none). The rooms of one line are siblings.
ORDER = [
    {"errors", "atomic", "_native"},
    {"native"},
    {"graph", "queries"},
    {"data"},
    {"nodes"},
    {"samplers"},
    {"pyg"},
    {"dgl"},
    {"distributed"},
    {"checkpoint"},
    {"engine"},
    {"models"},
    {"losses"},
    {"reasoners"},
    {"evaluation"},
    {"training"},
    {"answering"},
    {"export"},
    {"report"},
    {"tune"},
    {"accelerate"},
    {"explore"},
    {"doctor"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# These two stand outside the order: they give every room its public face, and import it when asked.
EXEMPT = {"__init__.py", "__main__.py"}

# Who alone may import a module, and what lies below it.
RESERVED = {"hydra": "cli", "omegaconf": "cli", "torch.distributed": "distributed"}


def imported_names(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """All that a file imports, anywhere in it: (line, full dotted name), for `from a import b` as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            for alias in node.names:
                yield node.lineno, ".".join([*base, alias.name])
        elif (
            # torch.distributed is within reach of whoever has imported torch.
            isinstance(node, ast.Attribute)
            and node.attr == "distributed"
            and isinstance(node.value, ast.Name)
            and node.value.id == "torch"
        ):
            yield node.lineno, "torch.distributed"


def violations(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        room, exempt = parts[0], str(path.relative_to(package)) in EXEMPT
        if not exempt and room not in RANK:
            found.append(f"{path}: the room {room!r} has no place in ORDER of {Path(__file__).name}")
            continue
        for line, name in imported_names(ast.parse(path.read_text()), ["graphkit", *parts[:-1]]):
            where = f"{path}:{line}"
            for module, owner in RESERVED.items():
                if f"{name}.".startswith(f"{module}.") and room != owner:
                    found.append(f"{where}: only graphkit.{owner} may import {module}")
            head, *rest = name.split(".")
            if exempt or head != "graphkit":
                continue
            target = rest[0] if rest else ""
            if target == "__version__":
                continue
            if target not in RANK:
                # Public names at the root lead anywhere, so an import of one would hide its direction.
                found.append(f"{where}: {name} is no room of graphkit; import from the room that defines it")
            elif target != room and RANK[target] > RANK[room]:
                found.append(f"{where}: {room} imports {target}, which stands below it")
    return list(dict.fromkeys(found))  # `from a import b, c` is one arrow


def eager_imports(path: Path) -> list[str]:
    """The imports of graphkit's rooms that are carried out when this file is imported."""
    found = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            for line, name in imported_names(node, ["graphkit"]):
                if name.split(".")[0] == "graphkit":
                    found.append(f"{path}:{line}: {name}")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def test_no_import_runs_against_the_order_of_rooms():
    assert violations(PACKAGE) == []


def test_public_names_resolve_lazily():
    assert eager_imports(PACKAGE / "__init__.py") == []


@pytest.mark.parametrize(
    ("file", "source", "message"),
    [
        ("graph/store.py", "from graphkit.models import transe", "graph imports models, which stands below"),
        ("graph/store.py", "def f():\n    import graphkit.cli.main", "graph imports cli"),
        ("graph/store.py", "from ..samplers import links", "graph imports samplers"),
        ("graph/deep/store.py", "from ... import samplers", "graph imports samplers"),
        ("graph/__init__.py", "from ..samplers.links import Links", "graph imports samplers"),
        ("losses.py", "from .training import trainer", "losses imports training"),
        ("engine/table.py", "from graphkit import KnowledgeGraph", "graphkit.KnowledgeGraph is no room"),
        ("kitchen.py", "", "'kitchen' has no place in ORDER"),
        ("training/run.py", "from omegaconf import DictConfig", "only graphkit.cli may import omegaconf"),
        ("__main__.py", "import hydra.utils", "only graphkit.cli may import hydra"),
        ("engine/table.py", "import torch.distributed as dist", "only graphkit.distributed may import torch"),
        ("engine/table.py", "from torch import distributed", "only graphkit.distributed may import torch"),
        ("engine/table.py", "import torch\ntorch.distributed.barrier()", "only graphkit.distributed"),
    ],
)
def test_a_planted_violation_is_reported(tmp_path, file, source, message):
    path = tmp_path / "graphkit" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    (report,) = violations(tmp_path / "graphkit")
    assert file in report
    assert message in report


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("samplers/links.py", "import graphkit.graph.store\nfrom graphkit import _native, errors"),
        ("graph/store.py", "from . import vocabulary\nfrom graphkit.queries import parsing"),
        ("queries/exact.py", "from graphkit.graph.store import KnowledgeGraph"),
        ("cli/train.py", "import hydra\nfrom graphkit import doctor"),
        ("distributed.py", "import torch.distributed"),
        ("__init__.py", "def __getattr__(name):\n    import graphkit.cli"),
    ],
)
def test_an_import_along_the_order_passes(tmp_path, file, source):
    path = tmp_path / "graphkit" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert violations(tmp_path / "graphkit") == []


def test_an_eager_import_in_the_package_root_is_reported(tmp_path):
    path = tmp_path / "__init__.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from graphkit.graph import a\n"
        "def __getattr__(name):\n    from . import graph\n"
        "try:\n    from .models import b\nexcept ImportError:\n    pass\n"
    )
    assert eager_imports(path) == [f"{path}:7: graphkit.models.b"]


HEAVY = {"torch", "torch_geometric", "hydra", "omegaconf", "pyarrow", "pandas", "sklearn", "pymetis"}


@pytest.mark.parametrize("arguments", [None, ["--help"]], ids=["import graphkit", "graphkit --help"])
def test_nothing_heavy_is_loaded_before_it_is_needed(arguments):
    program = (
        "import json, runpy, sys\n"
        "arguments = json.loads(sys.argv[1])\n"
        "if arguments is None:\n"
        "    import graphkit\n"
        "else:\n"
        "    sys.argv = ['graphkit', *arguments]\n"
        "    try:\n"
        "        runpy.run_module('graphkit', run_name='__main__', alter_sys=True)\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-c", program, json.dumps(arguments)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.returncode == 0, run.stderr
    assert HEAVY.intersection(json.loads(run.stdout.splitlines()[-1])) == set()
