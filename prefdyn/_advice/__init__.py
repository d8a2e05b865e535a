"""Advice: a game and a recipe in, a verdict with thresholds, proof and uncertainty out."""

from prefdyn._advice._recipe import recipe
from prefdyn._advice.advise import Advice, Posterior, advise
from prefdyn._advice.cures import Cure, cures
from prefdyn._advice.survey import Survey, survey

__all__ = ["Advice", "Cure", "Posterior", "Survey", "advise", "cures", "recipe", "survey"]
