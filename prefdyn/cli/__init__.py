"""The command line.

``prefdyn stability``, ``advise``, ``orbit``, ``sweep``, ``claims``, ``games`` and ``explore`` are
about games and recipes; ``diagnose`` about training logs; ``predict``, ``train``, ``iterate`` and
``validate`` about language models; ``doctor`` and ``completion`` about prefdyn itself.

Every command makes one object of plain data.  By default it is shown as sentences and tables; with
``--json`` it is printed as it is, and its shape is kept stable:

``stability``
    ``game`` (``name``, ``K``, ``names``, ``votes``, ``source``), ``recipe`` (``objective``,
    ``alpha``, ``lam``, ``beta``, ``reference``, ``offline``), ``verdict`` (the word), ``linear``
    (``spectral_radius``, ``kind``, ``period``, ``multipliers`` as ``[real, imaginary]``,
    ``jacobian_by``), ``fixed_point`` (``policy``, ``entropy``, ``residual``, ``method``),
    ``stable_beta`` (``range``, ``intervals``), ``stable_above``, ``stable_share``, ``margin``,
    ``certificates`` (list of ``name``, ``value``, ``holds``, ``proves``, ``statement``, ``claim``),
    ``far_starts`` (``number``, ``astray``, ``slow``, ``distance``, ``rounds``), ``last_iterate``
    (``kind``, ``top``, ``rate``, ``rounds_to_collapse``, ``rounds_per_turn``,
    ``growth_per_round``), ``posterior`` (``draws``, ``unstable``, ``beta`` as
    ``[5 %, median, 95 %]``), ``cures`` (best first: ``name``, ``setting``, ``spectral_radius``,
    ``evaluations`` (optima a round), ``word``, ``claim``), ``sentences``.
``stability --per-prompt``
    ``file``, ``recipe``, ``shares`` (by outcome), ``prompts`` (list of ``prompt``, ``outcome``,
    ``spectral_radius``, ``top_mass``), ``worst`` (prompts), ``skipped`` (prompt to reason).
``advise``
    ``config`` (``source``, ``trainer``, ``unknown``: name to hint), ``recipe`` (``objective`` on a
    table, ``trained``, ``kind``, ``beta``, ``alpha``, ``lam``, ``kappa``, ``mixture``, ``mixing``,
    ``periods``, ``rounds``), ``rows`` (list of ``setting``, ``quantity``, ``why``, ``assumption``,
    ``claim``), ``assumptions``, ``notes``, ``every_game`` (sentences), ``game``, ``outlook``
    (``word``, ``spectral_radius``, ``largest_kappa``, ``stable_above``, ``policy``, ``sentences``),
    ``games`` (without a game: list of ``name`` and what ``outlook`` has).
``orbit``
    ``game``, ``recipe`` (also ``votes``, ``kappa``), ``rounds``, ``reason``, ``seed``,
    ``final_policy``, ``entropy``, ``cycle_strength``, ``period``, ``recurrence``, ``refused``
    (estimate to reason), ``files``.
``sweep``
    ``out``, ``axes`` (name to length), ``points``, ``blocks``, ``variables`` (list of ``name``,
    ``dims``, ``missing`` (share), ``smallest``, ``largest``), ``refused`` (sentences), ``seed``,
    ``fingerprint``.
``sweep --plan``
    ``points``, ``blocks``, ``block`` (axis to values in a block), ``together`` and ``one_by_one``
    (axes), ``bytes``, ``seconds`` (processor time of each block measured), ``workers``,
    ``expected`` (seconds).
``claims``
    ``claims``: list of ``id``, ``title``, ``statement``, ``source``, ``origin``.
``games``
    ``games``: list of ``name``, ``about``; with a game instead ``game`` (also ``licence``,
    ``how``), ``P``, ``wins``, ``structure`` (``condorcet_winner``, ``smith_set``, ``copeland``,
    ``transitive``, ``strongly_transitive``, ``strictly_strongly_transitive``, ``cycle``,
    ``cyclic_share``).
``explore``
    ``file``, ``bytes``, ``shown`` (whether a browser was started).
``diagnose``
    ``log`` (``source``, ``format``, ``steps`` as ``[first, last]``, ``rounds`` (how many),
    ``settings``, ``unknown`` (columns), ``notes``), ``findings`` (gravest first: ``kind``,
    ``severity`` (``info``, ``warning`` or ``alarm``), ``evidence``, ``since`` (step), ``advice``,
    ``claim``), ``sentences``, ``series`` (list of ``name``, ``split``, ``column``, ``readings``
    (how many), ``first``, ``lowest``, ``highest``, ``last``), ``modes`` (as of
    `prefdyn.DynamicModes`), ``refused`` (what could not be judged, and why), ``files``.
``iterate``
    ``game``, ``recipe`` (also ``votes``), ``inner`` (``optimiser``, ``rate``, ``steps``,
    ``residual``, ``parameters``), ``model``, ``prompts``, ``responses`` (K for each prompt),
    ``rounds``, ``reason``, ``policies`` (by round, prompt if there are several, and response),
    ``predicted_policies`` and ``deviation`` (the table's orbit, and the largest difference),
    ``predicted`` (a sentence), ``spectral_radius``, ``kappa``, ``cosine``, ``residuals``,
    ``steps``, ``mass``, ``files``; arrays as of `prefdyn.llm.LanguageModelOrbit`.
``predict``
    ``model``, ``data``, ``objective`` (``id``, ``parameters``), ``batch``, ``by``, ``rate``,
    ``pairs`` (how many), ``skipped`` (reason to number), ``kinds`` (share of pairs by movement),
    ``chosen_falls`` (share), ``chosen_rate`` (``[5 %, median, 95 %]``), ``in_batches``
    (``chosen_falls``, ``although_rising_alone``, ``although_falling_alone``), ``step`` (nats at
    ``rate``: ``median``, ``worst``, ``beyond_linear``), ``correlations`` (score to Spearman's rho
    with the predicted fall), ``gaining_tokens`` (list of ``text``, ``share``), ``greedy_rises``
    (share), ``pushing`` (list of ``line``, ``effect_on_others``), ``worst`` (list of rows as in the
    predictions: ``line``, ``rank``, ``percentile``, ``kind`` and the fields of
    `prefdyn.llm.PairPrediction` with those of its entanglement), ``kept`` (how many), ``files``.
``train``
    ``model``, ``data`` (``source``, ``pairs``, ``skipped``: reason to number), ``objective``
    (``id``, ``parameters``), ``steps``, ``resumed_at``, ``loss``, ``first`` and ``last`` (the probe
    before and after, see `prefdyn.llm.training`), ``warnings``, ``out``.

``validate``
    ``out``, ``size``, ``seed``, ``verdicts`` (how many of each), ``records`` (list of
    ``experiment``, ``quantity``, ``predicted``, ``measured``, ``tolerance``, ``verdict``,
    ``note``).

``doctor``
    ``versions`` (``python``, ``prefdyn``), ``machine`` (``system``, ``cores``,
    ``thread_settings``, ``memory``, ``free_disk_here``, ``gpu``, ``offline_settings``),
    ``packages`` (list of ``name``, ``version``, ``floor``, ``extra``, ``state``: ``good``, ``old``
    or ``missing``), ``extras`` (name to ``state`` and ``missing``), ``commands`` (name to ``works``
    and ``lacks``), ``checks`` (list of ``name``, ``state``: ``good``, ``bad`` or ``skipped``,
    ``found``), ``works`` (whether prefdyn does at all), ``remedies`` (what to type).
``completion``
    ``shell``, ``script``.

Every object also has ``command`` and ``version``.  What was not asked for or does not exist is
``null``, and so is a number that is not finite.  Responses are indices from 0 in the order of
``game.names``.

Exit codes: 0 if the question was answered, whatever the answer; 1 for what should not have happened
(and from ``doctor``, where prefdyn cannot work); 2 for bad input; 130 if interrupted.  All but the
first come with one sentence on standard error, and no file is half-written.
"""

from prefdyn.cli._main import main

__all__ = ["main"]
