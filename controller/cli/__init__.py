"""The ``distillery`` command. ``main.py`` holds its arguments, ``run.py`` the loop that runs a job.

The decisions are ``controller.plan``; what this package adds is the state file, the view on the
terminal and the words for a person.
"""
