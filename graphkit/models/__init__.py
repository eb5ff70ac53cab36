"""Models, one file each; add one by a class here and a YAML with its `_target_` in conf/model."""

from graphkit.models.base import Embedded, Model
from graphkit.models.betae import BetaE
from graphkit.models.complex import ComplEx
from graphkit.models.gqe import GQE
from graphkit.models.transe import TransE

__all__ = ["GQE", "BetaE", "ComplEx", "Embedded", "Model", "TransE"]
