"""All series that a server counts and measures: their names, what they mean, their labels."""

from collections.abc import Iterator
from itertools import chain

from nanobot.telemetry.series import Counter, Histogram

_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_BATCH = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class TurnSeries:
    """Turns, from their admission to their end."""

    def __init__(self) -> None:
        self.ended = Counter(
            "nanobot_turns_total",
            "Turns that ended, by outcome and by where they came from.",
            ("outcome", "origin"),
        )
        self.errors = Counter(
            "nanobot_turn_errors_total",
            "Turns that ended without an answer, by the code of the error.",
            ("code",),
        )
        self.wait = Histogram(
            "nanobot_turn_queue_seconds", "From a turn's admission to its first start.", _LATENCY_S
        )
        self.first_words = Histogram(
            "nanobot_turn_first_token_seconds", "From a turn's admission to its first words.", _LATENCY_S
        )
        self.time = Histogram(
            "nanobot_turn_seconds",
            "From a turn's admission to its end, by outcome.",
            _LATENCY_S,
            ("outcome",),
        )


class ModelSeries:
    """What models answered, how fast, and what it cost."""

    def __init__(self) -> None:
        self.steps = Counter("nanobot_steps_total", "Answers of a model.", ("model",))
        self.tokens = Counter(
            "nanobot_tokens_total", "Tokens as providers counted them, by kind.", ("kind", "model")
        )
        self.cost = Counter(
            "nanobot_cost_dollars_total",
            "What turns cost at list prices, of models whose price is known.",
            ("model",),
        )
        self.first_words = Histogram(
            "nanobot_model_first_token_seconds",
            "From asking a model to its first words.",
            _LATENCY_S,
            ("model",),
        )
        self.time = Histogram(
            "nanobot_model_seconds", "From asking a model to the end of its answer.", _LATENCY_S, ("model",)
        )
        self.failures = Counter(
            "nanobot_model_failures_total",
            "Requests that a model did not answer, by code.",
            ("model", "code"),
        )


class StoreSeries:
    """Commits of the store, and searches by meaning."""

    def __init__(self) -> None:
        self.commits = Counter("nanobot_store_commits_total", "Commits of the store.")
        self.batch = Histogram("nanobot_store_commit_jobs", "How many jobs shared a commit.", _BATCH)
        self.commit_time = Histogram("nanobot_store_commit_seconds", "How long a commit took.", _COMMIT_S)
        self.vector_searches = Counter(
            "nanobot_vector_searches_total", "Searches by meaning, by outcome.", ("outcome",)
        )
        self.vector_time = Histogram(
            "nanobot_vector_search_seconds",
            "How long a search by meaning took, or was waited for.",
            _LATENCY_S,
        )
        self.vectors_made = Counter(
            "nanobot_vectors_made_total", "Messages and facts for which a vector was made."
        )


class RequestSeries:
    """HTTP requests."""

    def __init__(self) -> None:
        self.count = Counter(
            "nanobot_http_requests_total",
            "HTTP requests, by route and status.",
            ("method", "route", "status"),
        )
        self.time = Histogram(
            "nanobot_http_request_seconds", "How long a request took, its stream counted in.", _LATENCY_S
        )


class AllSeries:
    """All of them."""

    def __init__(self) -> None:
        self.turns = TurnSeries()
        self.models = ModelSeries()
        self.tools = Counter(
            "nanobot_tool_calls_total", "Calls of the server's tools, by outcome.", ("tool", "outcome")
        )
        self.store = StoreSeries()
        self.requests = RequestSeries()

    def text(self) -> Iterator[str]:
        """Return the lines of all series, in the format of Prometheus."""
        all_series: tuple[Counter | Histogram, ...] = (
            *vars(self.turns).values(),
            *vars(self.models).values(),
            self.tools,
            *vars(self.store).values(),
            *vars(self.requests).values(),
        )
        return chain.from_iterable(each.text() for each in all_series)
