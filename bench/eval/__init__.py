"""Tasks for the agent, each checked by what came of it: real servers, real tools, and a scripted model in the
place of a real one, or any real one.

Each task has a server of its own (`nanobot serve`, on a data directory of its own), which is spoken to over
HTTP as any client would. `task` says what a task is, `world` what it works with, `talk` and `scripted` what
answers as its model; the tasks are in `tasks/`, by subject. Start with `python -m bench.eval --list`.
"""
