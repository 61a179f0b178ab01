"""Skills: instructions for kinds of work, which the agent reads when one fits what it is asked.

Knows: the format of skills, where they are, and how they are found and read. Does not know: what a model is
told of them beforehand (`nanobot.context.skills`). Start at `library.py`; `skill_file.py` reads a `SKILL.md`.
"""
