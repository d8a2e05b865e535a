"""Training logs: read them, and say what they show.

`read_log` takes a log of TRL, LLaMA-Factory, OpenRLHF, wandb, trackio and others, or of this
package, into a `RunLog`; `diagnose` says what it shows.
"""

from prefdyn.runlog._diagnose import Diagnosis, diagnose
from prefdyn.runlog._finding import Finding
from prefdyn.runlog._log import RunLog, Series
from prefdyn.runlog._read import read_log

__all__ = ["Diagnosis", "Finding", "RunLog", "Series", "diagnose", "read_log"]
