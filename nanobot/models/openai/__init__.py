"""OpenAI's chat completions, on any server that speaks them.

Knows: the wire format of requests and streamed answers, and how servers differ in it.
Does not know: HTTP, retries, what an error means (`models/`); turns, sessions.
Start at `chat.py`:

* `request.py` encodes a request; `canonical.py` brings its messages into the form that all providers take.
* `answer.py` reads an answer; `chunk.py` decodes its chunks, `calls.py` and `think.py` put calls and thinking
  together, `state.py` what the provider wants back. `finish_reason.py`: why the model stopped.
* `proposals.py`: what the next try of a refused request leaves out. `failed_calls.py`: calls in what
  a model wrote and its server could not read.
"""
