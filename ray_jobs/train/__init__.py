"""The train stage: every trial (arm x seed) of one student, on one group of workers.

Start at ``stage.py`` (the order of the work, in the driver). Pure: ``schedule.py`` (batches, steps,
order of rows), ``preflight.py`` (what stops a training before its first step), ``options.py`` (the
specification in the words of TRL, PEFT and DeepSpeed). In the driver: ``examples.py`` (rows to
token arrays), ``group.py`` (Ray Train). In the workers: ``worker.py`` (trial after trial),
``trainer_trl.py`` (TRL's trainer), ``recorder.py`` (curve and marks on checkpoints),
``checkpoints.py`` (which of them are whole), ``publishing.py`` (weights to storage).
``failures.py`` carries errors from workers to the driver, ``board.py`` progress.

A trial is finished when its own manifest exists; names and shapes are in ``distillery.trials``.
"""
