"""The five tasks: what each says to a model, how it reads the answer, how it scores it.

``base.py`` is what every task offers and ``choosing.py`` makes one. A module a task: ``nli.py``,
``nlu_qa.py``, ``math_task.py``, ``summarization.py``, ``conversation.py``. What they share is named
for its content: ``prompt_library.py`` (all words), ``roles.py`` (order of turns), ``parsing.py``,
``numbers.py`` and ``refusals.py`` (strict readers), ``single_turn.py``, ``reasoned.py`` and
``labelled.py`` (common behaviour), ``row_metrics.py``, ``label_metrics.py``, ``text_metrics.py``
and ``entities.py``. No model, no storage, no file.
"""
