"""Training logs: read them, and say what they show.

`read_log` takes a log of TRL, LLaMA-Factory, OpenRLHF, wandb, trackio and others, or of this
package, into a `RunLog`.
"""

from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog, Series
from prefdyn.runlog._read import read_log

__all__ = ["Finding", "RunLog", "Series", "read_log"]
