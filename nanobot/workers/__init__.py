"""Work on what strangers send, in processes of its own: bounded in time and memory, without network, and, on
Linux, with few system calls. A task that takes long holds up no short one, nor one user's another's.

`pool.py` is what other packages use; a task names a module with a function `run(head, content)`.
"""
