"""Reports: what node runs measured, as pages that need nothing beside them."""

from graphkit.report.page import write_report

__all__ = ["write_report"]
