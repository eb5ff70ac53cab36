"""``graphkit doctor``: what is installed, what is found, and why something is not used."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from graphkit.cli.settings import conf_folder
from graphkit.doctor import examine


def run_doctor(*, as_json: bool) -> int:
    """Prints the examination; exit code 0, since nothing that it reports is a mistake of the user."""
    found = {**examine(), "configuration": {"folder": str(conf_folder())}}
    if as_json:
        print(json.dumps(found))
        return 0
    table = Table(show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for part, values in found.items():
        for i, (name, value) in enumerate(values.items()):
            table.add_row(part if i == 0 else "", name, str(value))
    # Names of extras stand in square brackets, which are not markup here.
    Console(markup=False).print(table)
    return 0
