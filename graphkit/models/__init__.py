"""Models, one file each; add one by a class here and a YAML with its `_target_` in conf/model."""

from graphkit.models.base import Model
from graphkit.models.betae import BetaE
from graphkit.models.complex import ComplEx
from graphkit.models.distmult import DistMult
from graphkit.models.embedding import Asked, Embedded
from graphkit.models.encoders import Encoder, GCNEncoder, SGCEncoder
from graphkit.models.gqe import GQE
from graphkit.models.query2box import Query2box
from graphkit.models.rotate import RotatE
from graphkit.models.transe import TransE

__all__ = [
    "GQE",
    "Asked",
    "BetaE",
    "ComplEx",
    "DistMult",
    "Embedded",
    "Encoder",
    "GCNEncoder",
    "Model",
    "Query2box",
    "RotatE",
    "SGCEncoder",
    "TransE",
]
