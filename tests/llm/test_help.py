import inspect
import re
import shlex

import pytest

from prefdyn.cli._commands import COMMANDS, command, parsed
from prefdyn.cli._model import ModelOptions

NAMES = [name for name in COMMANDS if issubclass(command(name), ModelOptions)]


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_a_help_text_are_valid(name):
    examples = re.findall(r"^  prefdyn (.*)$", inspect.getdoc(command(name)) or "", re.M)
    assert len(examples) >= 2
    for example in examples:
        assert type(parsed(shlex.split(example))) is command(name)
