import inspect
import re
import shlex

import pytest

from prefdyn.cli._main import COMMANDS, _parse
from prefdyn.cli._model import ModelOptions

NAMES = [name for name, known in COMMANDS.items() if issubclass(known, ModelOptions)]


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_a_help_text_are_valid(name):
    examples = re.findall(r"^  prefdyn (.*)$", inspect.getdoc(COMMANDS[name]) or "", re.M)
    assert len(examples) >= 2
    for example in examples:
        assert type(_parse(shlex.split(example))) is COMMANDS[name]
