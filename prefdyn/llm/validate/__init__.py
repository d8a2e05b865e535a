"""Six experiments on a language model: prediction before training, measurement, verdict."""

from prefdyn.llm.validate._record import VERDICTS, Record, bounded, close, not_run, told
from prefdyn.llm.validate._run import ORDER, SIZES, run

__all__ = ["ORDER", "SIZES", "VERDICTS", "Record", "bounded", "close", "not_run", "run", "told"]
