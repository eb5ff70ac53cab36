"""``graphkit train``: composes, trains, measures."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from graphkit.cli.compose import compose_and_run
from graphkit.cli.settings import RESUME_KEYS, Config, override
from graphkit.cli.tables import print_metrics
from graphkit.errors import GraphkitError
from graphkit.training import Interrupted, Run, Trainer, load_graph, resume, run_config, start
from graphkit.training.randomness import seed_everything
from graphkit.training.run import resume_word
from graphkit.training.task import WritesResults


def run_train(words: Sequence[str]) -> int:
    """Trains what the line says and returns the exit code."""
    resumed = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]
    if resumed:
        if len(resumed) > 1 or not resumed[0]:
            raise GraphkitError(f"resume={','.join(resumed)} names no single run; write resume=RUN once")
        return _resume(Path(resumed[0]), [word for word in words if not word.startswith("resume=")])
    return compose_and_run(words, _train)


def _train(config: Config, name: str) -> int:
    if config["resume"]:
        raise GraphkitError(
            f"resume is {config['resume']}, and it stands at the head of a line of its own: write graphkit train "
            f"resume={config['resume']}, with nothing but {', '.join(RESUME_KEYS)} behind it"
        )
    folder = Path(config["run_dir"]) if config["run_dir"] else _free_folder(name)
    overwrite = bool(config["overwrite"])
    Run.require_free(folder, overwrite=overwrite)
    seed_everything(config["seed"])
    graph = load_graph(config)
    trainer = start({**config, "run_dir": str(folder)}, graph, folder, overwrite=overwrite)
    print(f"{graph}", file=sys.stderr)
    return _fit(trainer)


def _resume(folder: Path, words: Sequence[str]) -> int:
    run = Run.open(folder)
    config = run_config(run)
    if any(word.startswith("trainer.max_epochs=") for word in words):
        config["trainer"]["max_steps"] = None  # the steps of the first budget would win over the new epochs
    config = override(config, words, allowed=RESUME_KEYS)
    seed_everything(config["seed"])  # for a run without a checkpoint, which begins again
    return _fit(resume(run, config))


def _fit(trainer: Trainer) -> int:
    run = trainer.run
    schedule = trainer.schedule
    step, steps = trainer.progress.step, schedule.max_steps
    validated = f"validated every {schedule.validate_every}" if schedule.validate_every else "not validated"
    if step < steps:
        print(f"training into {run.folder}: step {step} of {steps}, {validated}", file=sys.stderr)
    else:
        print(
            f"the training of {run.folder} is finished: it has had all {steps} steps, and is measured again",
            file=sys.stderr,
        )
    try:
        trainer.fit()
    except Interrupted as stopped:
        print(f"graphkit: {stopped}; continue with graphkit train {resume_word(run.folder)}", file=sys.stderr)
        return 128 + stopped.signal
    print_metrics(trainer.finish())
    print(f"next: {_next(trainer)}", file=sys.stderr)
    return 0


def _next(trainer: Trainer) -> str:
    """Returns the line to go on with."""
    folder = shlex.quote(str(trainer.run.folder))
    if isinstance(trainer.task, WritesResults):
        return f"graphkit report {folder}"
    return f'graphkit answer {folder} "?x : RELATION(?x, LABEL)"'


def _free_folder(name: str) -> Path:
    """Returns runs/NAME, or the first of runs/NAME-2, runs/NAME-3 … that does not exist."""
    stem = name.replace("/", "-")
    folder, number = Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{stem}-{number}"
    return folder
