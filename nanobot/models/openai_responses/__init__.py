"""OpenAI's Responses API, on any server that speaks it.

Knows: the wire format of requests and streamed answers, and its rules for a conversation.
Does not know: HTTP, retries, what an error means (`models/`); turns, sessions; our own `/v1/responses`, which
is in `api/`.
Start at `responses.py`:

* `request.py` encodes a request; `items.py` writes its conversation as input items.
* `answer.py` reads an answer; `stream_event.py` decodes its events, `output.py` puts its items together.
* `proposals.py`: what the next try of a refused request leaves out. `refused.py`: reasoning that the provider
  does not take back.
"""
