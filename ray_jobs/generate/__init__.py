"""Stage generate: the teacher answers every prepared prompt; no answer is lost or paid for twice.

Start at ``stage.py``, which walks the stage once. Pure: ``work.py`` (what is to be asked),
``desk.py`` (which answers are missing), ``dispatcher.py`` (who does what, leases, quarantine),
``gate.py`` (stop where it is hopeless), ``tally.py`` (counts). ``engine_loop.py`` keeps one engine
full; ``couriers.py`` are its threads. Ray is met in ``dispatcher_actor.py``, ``engine_actor.py``
and ``fleet.py`` alone.
``inputs.py`` and ``outputs.py`` read prepare's rows and write the answers and figures.

Not here: the answer store (``ray_jobs.answers``), engines (``ray_jobs.engines``), what an answer
means (``ray_jobs.tasks``).
"""
