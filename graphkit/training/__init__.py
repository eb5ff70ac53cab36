"""Training: the trainer, its tasks, and the folder of a run."""

from graphkit.training.assembly import Trained, assemble, load_graph, load_trained, resume, run_config, start
from graphkit.training.links import LinkTask
from graphkit.training.queries import QueryTask
from graphkit.training.run import Run
from graphkit.training.task import Task
from graphkit.training.trainer import Interrupted, Schedule, Trainer

__all__ = [
    "Interrupted",
    "LinkTask",
    "QueryTask",
    "Run",
    "Schedule",
    "Task",
    "Trained",
    "Trainer",
    "assemble",
    "load_graph",
    "load_trained",
    "resume",
    "run_config",
    "start",
]
