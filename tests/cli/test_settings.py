"""Words of the command line on the configuration of a run that exists."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from graphkit.cli.settings import RESUME_KEYS, override
from graphkit.errors import GraphkitError

CPU = {"engine": {"_target_": "graphkit.engine.CPU"}, "trainer": {"max_steps": 5}}
WORDS = ["engine=gpu", "engine.cache_rows=5", "engine.zero_copy=true", "trainer.max_steps=9"]


@pytest.mark.parametrize("engine", [CPU["engine"], {"_target_": "graphkit.engine.GPU", "index": 1, "cache_rows": 7}])
def test_settings_of_a_choice_are_the_same_in_any_order_of_words(engine: dict[str, Any]) -> None:
    config = {**CPU, "engine": engine}
    for words in permutations(WORDS):
        changed = override(config, words, allowed=RESUME_KEYS)
        assert changed["trainer"] == {"max_steps": 9}
        assert changed["engine"] == {
            "_target_": "graphkit.engine.GPU",
            "index": 0,
            "cache_rows": 5,
            "cache": "degree",
            "zero_copy": True,
        }
    assert config == {**CPU, "engine": engine}


@pytest.mark.parametrize("word", ["engine.cache_rows=5", "engine._target_=os.system", "engine.index.deep=1"])
def test_an_engine_takes_no_settings_but_its_own(word: str) -> None:
    key = word.partition("=")[0]
    for words in ([word, "engine=cpu"], ["engine=cpu", word]):
        with pytest.raises(GraphkitError) as error:
            override(CPU, words, allowed=RESUME_KEYS)
        assert str(error.value) == f"{key!r} cannot be set here; settings: {', '.join(RESUME_KEYS)}"


def test_a_choice_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(GraphkitError, match=r"^'engine' cannot be set here; "):
        override(CPU, ["engine=gpu"], allowed=["trainer.max_steps"])
