"""What the model sees. Pure: values in, values out.

Knows: the prompt, how much history fits, how to mend a transcript that was cut.
Does not know: where history is kept, who the model is, the time (it is told).
Start at `build.py`.
"""
