"""Update rules, one per file: this round's policy in, the next round's out."""

from prefdyn.rules._carried import carried, on_logits
from prefdyn.rules._certificates import Certificate
from prefdyn.rules._game_rule import GameRule
from prefdyn.rules._mixed_reference_sampling import DrivenRule, MixedReferenceSampling
from prefdyn.rules._optimisers import Adam, Optimiser, RMSprop
from prefdyn.rules._pair_gradient import PairGradient
from prefdyn.rules._pair_training import PairTraining
from prefdyn.rules._registry import get, names
from prefdyn.rules._rule import Jacobian, LogitRule, Rule
from prefdyn.rules._training import Training
from prefdyn.rules._wrapper import Wrapper, get_parameter, set_parameter
from prefdyn.rules.accelerated_po import AcceleratedPO
from prefdyn.rules.adaptive_beta import AdaptiveBeta, BestFraction, best_fraction
from prefdyn.rules.averaged import Averaged
from prefdyn.rules.best_response import BestResponse
from prefdyn.rules.egpo import EGPO
from prefdyn.rules.extragradient import Extragradient
from prefdyn.rules.finite_sample import FiniteSample
from prefdyn.rules.gradient_flow import GradientFlow
from prefdyn.rules.gradient_step import GradientStep
from prefdyn.rules.inexact import Inexact
from prefdyn.rules.ipo_md import IPOMD
from prefdyn.rules.learned_sampler import LearnedSampler
from prefdyn.rules.momentum import Momentum
from prefdyn.rules.mrs import MRS
from prefdyn.rules.mrs_dpo import MRSDPO, bradley_terry_scores
from prefdyn.rules.mrs_ipo import MRSIPO
from prefdyn.rules.nash_md import NashMD
from prefdyn.rules.nash_md_pg import NashMDPG
from prefdyn.rules.online_ipo import OnlineIPO
from prefdyn.rules.optimistic import Optimistic
from prefdyn.rules.sampled_dpo import SampledDPO
from prefdyn.rules.self_play import (
    inpo,
    iterative_rpo,
    online_mirror_descent,
    self_play_ipo,
    sppo,
)
from prefdyn.rules.tr_dpo import TRDPO

__all__ = [
    "EGPO",
    "IPOMD",
    "MRS",
    "MRSDPO",
    "MRSIPO",
    "TRDPO",
    "AcceleratedPO",
    "Adam",
    "AdaptiveBeta",
    "Averaged",
    "BestFraction",
    "BestResponse",
    "Certificate",
    "DrivenRule",
    "Extragradient",
    "FiniteSample",
    "GameRule",
    "GradientFlow",
    "GradientStep",
    "Inexact",
    "Jacobian",
    "LearnedSampler",
    "LogitRule",
    "MixedReferenceSampling",
    "Momentum",
    "NashMD",
    "NashMDPG",
    "OnlineIPO",
    "Optimiser",
    "Optimistic",
    "PairGradient",
    "PairTraining",
    "RMSprop",
    "Rule",
    "SampledDPO",
    "Training",
    "Wrapper",
    "best_fraction",
    "bradley_terry_scores",
    "carried",
    "get",
    "get_parameter",
    "inpo",
    "iterative_rpo",
    "names",
    "on_logits",
    "online_mirror_descent",
    "self_play_ipo",
    "set_parameter",
    "sppo",
]
