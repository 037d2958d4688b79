"""Does it fit, how fast, how much: arithmetic on shapes, GPUs and layouts. Pure.

``shapes.py`` and ``shape_table.py`` say what a model is, ``gpus.py`` what it runs on,
``precisions.py`` how its numbers are kept. ``engine_memory.py`` decides whether a layout fits and
how many tokens its KV cache holds, ``throughput.py`` how fast it answers with the efficiencies of
``efficiencies.py``, ``layouts.py`` ranks all that fit and says why others don't. ``training.py``
does the same for students. ``estimates.py`` puts a whole job together.

Not here: reading a model's folder (``ray_jobs.models``), printing (``controller.cli``).
"""
