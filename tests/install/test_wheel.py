"""The wheel works in an empty environment, far from the checkout (`make wheel-test`)."""

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent

# An environment with torch takes minutes on a slow machine; the first test that asks for it waits for it.
pytestmark = pytest.mark.timeout(1800)


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder),
        # A build folder of its own: the editable install keeps the other one.
        *("--config-settings", f"build-dir={CHECKOUT / 'build' / 'wheel'}"),
        CHECKOUT,
        cwd=folder,
    )
    (path,) = folder.glob("graphkit-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of a fresh environment that holds the wheel, its dependencies and nothing else."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=venv.parent)
    # Torch first, the tested one, so that a dependency cannot choose another. --no-compile: of thousands of
    # files only those that are imported get compiled, when they are imported.
    torch = importlib.metadata.version("torch").partition("+")[0]
    pip = (venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile")
    run(*pip, f"torch=={torch}", cwd=venv.parent)
    run(*pip, wheel, cwd=venv.parent)
    return venv / "bin"


@pytest.fixture
def outside(tmp_path) -> dict:
    """Where and how to run a command so that nothing of the checkout is within reach."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GRAPHKIT"))}
    return {"cwd": tmp_path, "env": env}


def test_wheel_carries_configurations_and_kernels_but_no_sources_of_the_extension(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for top in ("conf", "cuda"):
        expected = {
            f"graphkit/{path.relative_to(CHECKOUT).as_posix()}"
            for path in (CHECKOUT / top).rglob("*")
            if path.suffix in {".yaml", ".cu", ".cuh", ".md"}
        }
        assert expected, f"the checkout has nothing under {top}/"
        assert expected <= names
    assert "graphkit/cuda/README.md" in names
    assert len([name for name in names if name.startswith("graphkit/cuda/") and name.endswith(".cu")]) >= 8
    assert "graphkit/py.typed" in names
    assert any(name.startswith("graphkit/_native.") and name.endswith(".so") for name in names)
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".pyc"))]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"graphkit"}


def test_installed_package_finds_its_own_folders(installed, outside):
    program = (
        "import graphkit, graphkit._native, pathlib\n"
        "root = pathlib.Path(graphkit.__file__).parent\n"
        "assert any((root / 'conf').rglob('*.yaml')), root\n"
        "assert (root / 'cuda' / 'README.md').is_file(), root\n"
        "from graphkit.engine.cuda.sources import cuda_folder, read_source\n"
        "assert cuda_folder() == root / 'cuda'\n"
        "assert read_source('pair_scores').headers\n"
        "print(root)\n"
    )
    root = Path(run(installed / "python", "-c", program, **outside).strip())
    assert CHECKOUT not in root.parents
    assert installed.parent in root.parents


@pytest.mark.parametrize("engine", ["cpu", "simulated"])
def test_installed_command_trains(installed, outside, engine):
    out = outside["cwd"] / "out"
    overrides = ("experiment=demo", f"run_dir={out}", "trainer.max_steps=2", f"engine={engine}")
    run(installed / "graphkit", "train", *overrides, **outside)
    assert (out / "metrics.json").is_file()
