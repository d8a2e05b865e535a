"""Update rules, one per file: this round's policy in, the next round's out."""

from prefdyn.rules._certificates import Certificate
from prefdyn.rules._mixed_reference_sampling import DrivenRule, MixedReferenceSampling
from prefdyn.rules._optimisers import Adam, Optimiser, RMSprop
from prefdyn.rules._pair_training import PairTraining
from prefdyn.rules._registry import get, names
from prefdyn.rules._rule import Jacobian, LogitRule, Rule
from prefdyn.rules._training import Training
from prefdyn.rules._wrapper import Wrapper, get_parameter, set_parameter
from prefdyn.rules.accelerated_po import AcceleratedPO
from prefdyn.rules.finite_sample import FiniteSample
from prefdyn.rules.gradient_flow import GradientFlow
from prefdyn.rules.gradient_step import GradientStep
from prefdyn.rules.inexact import Inexact
from prefdyn.rules.momentum import Momentum
from prefdyn.rules.mrs import MRS
from prefdyn.rules.mrs_dpo import MRSDPO, bradley_terry_scores
from prefdyn.rules.mrs_ipo import MRSIPO
from prefdyn.rules.tr_dpo import TRDPO

__all__ = [
    "MRS",
    "MRSDPO",
    "MRSIPO",
    "TRDPO",
    "AcceleratedPO",
    "Adam",
    "Certificate",
    "DrivenRule",
    "FiniteSample",
    "GradientFlow",
    "GradientStep",
    "Inexact",
    "Jacobian",
    "LogitRule",
    "MixedReferenceSampling",
    "Momentum",
    "Optimiser",
    "PairTraining",
    "RMSprop",
    "Rule",
    "Training",
    "Wrapper",
    "bradley_terry_scores",
    "get",
    "get_parameter",
    "names",
    "set_parameter",
]
