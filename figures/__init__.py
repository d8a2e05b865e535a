"""The figures: one script each, `plot_NAME.py`, drawn by ``python -m figures``.

To add one, write a module with

``TITLE``
    A heading of a few words.
``CAPTION``
    What is predicted, what is simulated, and the convention of beta.
``CLAIMS``
    Ids of the claims it shows.
``compute(seed, full=False)``
    The data, as a dict of numpy arrays.  Predictions and simulations are separate code paths.
``draw(data)``
    The matplotlib `Figure`, made from the saved data and nothing else.
``findings(data)`` (optional)
    Sentences measured from the data, shown below the caption.

and put its name where it belongs in `figures._sections`.
"""

from pathlib import Path

from figures._sections import SECTIONS

ORDER = tuple(name for section in SECTIONS for name in section.figures)
"""Names of the figures in the order of the report."""

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER / "output"
"""Where figures, their data and their records go."""
