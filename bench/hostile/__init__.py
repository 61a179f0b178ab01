"""`make hostile`: attacks on a server, one after the other, while innocent clients use it.

Reported are the longest time for which `/health` did not answer, how much slower and fewer the turns of the
innocent were, and what the server's memory did. `attacks.py` has the attacks, `innocent.py` the others.
"""
