"""The miniature: a data set, a teacher and a student's base model, made in minutes on a CPU.

The quick start distils these instead of a frontier model: the effect of the method in small,
with real training on every side. ``python -m examples.miniature --out DIR`` makes all of it.

- ``problems``: word problems, their answers, and the split by multiset of numbers
- ``prompts``: the two system prompts and the replies they ask for
- ``tokenizer``: byte-level BPE with a ChatML template
- ``training``: a plain torch loop
- ``recipe``: which model learns what, and every number that was chosen; start here
- ``cache``: the marker that says a folder is finished

Nothing here is imported by the product, and nothing of the product is imported here.
"""
