"""Inference engines behind one small interface, so that stages need not know who answers.

Start at ``base.py`` (the interface and its contract), then ``making.py``. ``vllm_engine.py`` and
``transformers_engine.py`` implement it; ``environment.py`` is what a process's environment must
hold before vLLM is imported, ``gpus.py`` how many GPUs a process asks for; ``vllm_arguments.py``
is what vLLM is made with; ``model_folder.py`` looks at a model before a library loads it.
Not here: rows, prompts, retries, storage. Nothing is imported by this file.
"""
