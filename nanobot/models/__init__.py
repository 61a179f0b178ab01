"""Implementations of `core.model.Model`: one folder a wire format, and what they share beside them.

Knows: how each provider's API is asked and how it fails; the small model on this machine.
Does not know: turns, sessions, and of tools only name, description and schema.
Start at `openai/chat.py`, which uses all that is shared:

* `providers/`: the providers as data, and the names of models.
* `remote_model.py`: a model behind an HTTP API, but for its wire format. `remote_settings.py`: what is set of
  it. `client.py`: sends a request, again where that may help, and yields its answer. `retry.py`: when, and
  how often.
* `answer.py`: reads an answer within deadlines. `sse.py`: cuts a stream of events into payloads.
* `http.py`: connections. `address.py`: where an API is. `transport.py`: what goes with each request, among
  it `keys.py`: several keys, and keys that expire; `proxies.py`, `certificates.py`: the way out.
* `configured.py`: a model within what its settings say. `ollama.py`: one whose server tells its window.
* `refusals.py`: from a provider's status and message to an error of the tree.
  `wordings.py`: what the messages of refusals mean, one row for each wording.
* `fallback.py`: several models as one. `needs.py`: what a request needs of a model. `breaker.py`: when one
  that failed is asked again.

To add a wire format, make a folder with three files, as `openai/` has them: `request.py` encodes a
`ModelRequest`; `answer.py` has an `AnswerReader`, from payloads to deltas and the message; the third is a
`RemoteModel`, whose `stream` puts both into an `Exchange`. Name the format in `providers.Wire`, its class in
`app/remote.py`, and run the suite in `tests/contract/models` on it. A server that speaks a known format is
one row in `providers/shipped.py`.
"""
