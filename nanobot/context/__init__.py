"""What the model sees. Pure: values in, values out.

Knows: the prompt, how much history fits, how to repair a transcript that was cut.
Does not know: where history is kept, who the model is, what time it is.
Start at `build.py`.
"""
