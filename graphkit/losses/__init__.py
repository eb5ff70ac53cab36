"""Losses: of logits of answers (`Loss`), and of embeddings of nodes (`ContrastiveLoss`)."""

from graphkit.losses.contrastive import CCASSG, COLES, GRACE, SCE, ContrastiveLoss
from graphkit.losses.ranking import LogSigmoid, Loss, Softmax

__all__ = ["CCASSG", "COLES", "GRACE", "SCE", "ContrastiveLoss", "LogSigmoid", "Loss", "Softmax"]
