from ._batches import Data as Data
from ._batches import read_data as read_data
from ._plan import Plan as Plan
from ._train import Trained as Trained
from ._train import train as train
from .callback import DynamicsCallback as DynamicsCallback
from .trl_settings import trl_equivalent as trl_equivalent
