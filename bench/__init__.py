"""What `make bench` runs: nanobot beside a floor, on this machine, in the same minutes.

Knows: `upstream` (a model that answers at once), `floor` (the least that keeps the same promise on disk),
  `load` (the clients), `machine` (processes and what the operating system says of them), `measures`, `goals`,
  `report`. Does not know: anything inside nanobot. It is started as a user would start it and spoken to over
  HTTP. Start at `measures.py`.
"""
