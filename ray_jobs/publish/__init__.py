"""The publish stage: statistics over all trials, promotion, report, cards, weights.

Start at ``stage.py``. ``gathering.py`` reads what the other steps left; ``figures.py`` and
``comparing.py`` turn predictions into rows and differences, ``promotion.py`` chooses the trial that
is published, ``notes.py`` says what a reader must mind; ``report.py`` with ``plots.py`` and
``templates/`` draws the report, ``cards.py`` the model and data cards, ``weights.py`` copies or
merges the weights.
"""
