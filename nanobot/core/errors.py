"""The error tree. Each class carries what the edges need; every message is safe to show to whoever asked.

`code` is the machine's word, `http_status` and `type` what the HTTP door answers, `retryable` whether the
same request may succeed later. `docs/errors.md` lists them all.
"""

from typing import ClassVar


class NanobotError(Exception):
    """The root.

    `param` names the field at fault, `retry_after_s` the wait before another try, where there is one. `headers`:
    what an HTTP answer says besides, such as what is left of a quota.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.headers: tuple[tuple[bytes, bytes], ...] = ()


# What the asker got wrong -------------------------------------------------------------------------


class InvalidRequest(NanobotError):
    """A field is missing, of the wrong type, out of range or not supported."""

    code, http_status, type = "invalid_request", 400, "invalid_request_error"


class BadSessionKey(InvalidRequest):
    code = "invalid_session_key"


class MissingSessionKey(InvalidRequest):
    code = "missing_session_key"


class InvalidJson(InvalidRequest):
    code = "invalid_json"


class InvalidForm(InvalidRequest):
    """A body of `multipart/form-data` that is broken, or has too many parts."""

    code = "invalid_form"


class StreamingOff(InvalidRequest):
    code = "streaming_off"


class ForbiddenOrigin(InvalidRequest):
    """A web page of another site tried to drive the agent."""

    code, http_status, type = "forbidden_origin", 403, "invalid_request_error"


class BadApiKey(NanobotError):
    code, http_status, type = "invalid_api_key", 401, "authentication_error"


class MissingRight(NanobotError):
    """The API key is valid, but not for this."""

    code, http_status, type = "missing_right", 403, "invalid_request_error"


class TooManyBadKeys(NanobotError):
    """From this address came too many API keys that are not valid."""

    code, http_status, type, retryable = "too_many_bad_keys", 429, "rate_limit_error", True


class RouteNotFound(NanobotError):
    code, http_status, type = "not_found", 404, "invalid_request_error"


class InvalidHttp(NanobotError):
    """What came over the connection is no HTTP request."""

    code, http_status, type = "invalid_http", 400, "invalid_request_error"


class MethodNotAllowed(NanobotError):
    """`allow` names the methods that the route takes."""

    code, http_status, type = "method_not_allowed", 405, "invalid_request_error"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class BodyTooLarge(NanobotError):
    code, http_status, type = "request_too_large", 413, "invalid_request_error"


class HeadTooLarge(NanobotError):
    code, http_status, type = "head_too_large", 431, "invalid_request_error"


class SlowRequest(NanobotError):
    code, http_status, type, retryable = "request_timeout", 408, "invalid_request_error", True


class ModelNotFound(NanobotError):
    code, http_status, type = "model_not_found", 404, "invalid_request_error"


class TurnNotFound(NanobotError):
    code, http_status, type = "turn_not_found", 404, "invalid_request_error"


class SessionNotFound(NanobotError):
    code, http_status, type = "session_not_found", 404, "invalid_request_error"


class MessageNotFound(NanobotError):
    """The session has no such message, or none that is shown."""

    code, http_status, type = "message_not_found", 404, "invalid_request_error"


class SessionExists(NanobotError):
    """A new session was to have the key of one that is there."""

    code, http_status, type = "session_exists", 409, "conflict_error"


class ResponseNotFound(NanobotError):
    code, http_status, type = "response_not_found", 404, "invalid_request_error"


class ConversationNotFound(NanobotError):
    code, http_status, type = "conversation_not_found", 404, "invalid_request_error"


class ItemNotFound(NanobotError):
    """A conversation has no such item."""

    code, http_status, type = "item_not_found", 404, "invalid_request_error"


class ConversationExists(NanobotError):
    code, http_status, type = "conversation_exists", 409, "conflict_error"


class UnknownToolCall(InvalidRequest):
    """A tool's result answers no call that waits for one."""

    code = "unknown_tool_call"


class UploadNotFound(NanobotError):
    code, http_status, type = "file_not_found", 404, "invalid_request_error"


class UploadsFull(InvalidRequest):
    """A session's uploads would be larger than `files.quota_mb` together."""

    code = "file_quota_exceeded"


class UrlRefused(InvalidRequest):
    """A URL that the server does not go to: its scheme, port or address is not one of the public web."""

    code = "url_refused"


class UrlUnreadable(InvalidRequest):
    """The server went to a URL and did not get what was asked for."""

    code = "url_unreadable"


class UnsupportedFile(InvalidRequest):
    """A file of a kind that cannot be read here."""

    code = "unsupported_file"


class UnreadableFile(InvalidRequest):
    """A file that is broken, is not what it says, or costs more to read than is allowed."""

    code = "unreadable_file"


class EncryptedFile(UnreadableFile):
    """A file that a password protects."""

    code = "encrypted_file"


# Admission ----------------------------------------------------------------------------------------


class SessionBusy(NanobotError):
    """A turn of this session is running and the asker did not want to wait."""

    code, http_status, type = "session_busy", 409, "conflict_error"


class QueueFull(NanobotError):
    code, http_status, type, retryable = "queue_full", 429, "rate_limit_error", True


class RateLimited(NanobotError):
    """A quota of requests or of turns that run: it is free again in a moment."""

    code, http_status, type, retryable = "rate_limit_exceeded", 429, "rate_limit_error", True


class QuotaExceeded(NanobotError):
    """A quota of the day is used up."""

    code, http_status, type, retryable = "insufficient_quota", 429, "insufficient_quota", True


class IdempotencyMismatch(NanobotError):
    code, http_status, type = "idempotency_mismatch", 422, "invalid_request_error"


class ShuttingDown(NanobotError):
    code, http_status, type, retryable = "shutting_down", 503, "server_error", True


# The end of a turn that did not answer ------------------------------------------------------------


class TurnCancelled(NanobotError):
    code, http_status, type = "turn_cancelled", 409, "conflict_error"


class TurnTimedOut(NanobotError):
    """The turn took longer than `engine.turn_timeout_s`."""

    code, http_status = "turn_timed_out", 504


class TooManyAttempts(NanobotError):
    """The server died under this turn again and again."""

    code, http_status = "too_many_attempts", 500


class ModelError(NanobotError):
    """A provider failed. Raised by `Model.stream` and `Model.check`, never told as text."""

    code, http_status = "model_error", 502


class ModelRefusedKey(ModelError):
    """The provider did not accept our credentials."""

    code = "model_refused_key"


class ModelRateLimited(ModelError):
    code, http_status, type, retryable = "model_rate_limited", 429, "rate_limit_error", True


class ModelOverloaded(ModelError):
    code, http_status, retryable = "model_overloaded", 503, True


class ModelUnreachable(ModelError):
    code, retryable = "model_unreachable", True


class ModelTimeout(ModelError):
    code, http_status, retryable = "model_timeout", 504, True


class ModelBadAnswer(ModelError):
    """What came from the provider could not be understood, or broke off."""

    code, retryable = "model_bad_answer", True


class ModelRejectedRequest(ModelError):
    """The provider calls our request invalid: a setting, or a part it does not take."""

    code, http_status, type = "model_rejected_request", 400, "invalid_request_error"


class ModelLacksAbility(ModelError):
    """The provider turned out to lack an ability; the model does not claim it any more and may be asked again
    without.
    """

    code, http_status, type = "model_lacks_ability", 400, "invalid_request_error"


class ContextOverflow(ModelError):
    """What must be shown to the model does not fit its window."""

    code, http_status, type = "context_length_exceeded", 400, "invalid_request_error"


class ModelUnavailable(ModelError):
    """The model cannot be started on this machine; the message says what is missing."""

    code, http_status = "model_unavailable", 503


# Inside -------------------------------------------------------------------------------------------


class ToolError(NanobotError):
    """News for the model, never the end of a turn: its text is the tool's result."""

    code = "tool_error"


class ConfigError(NanobotError):
    """A setting is wrong. One line: the value, where it stands, the way out. Exit status 2."""

    code = "config_error"


class StoreError(NanobotError):
    """The store cannot be used."""

    code, http_status, retryable = "store_error", 503, True


class StoreLocked(StoreError):
    code = "store_locked"


class StoreCorrupt(StoreError):
    code, retryable = "store_corrupt", False


class StoreTooNew(StoreError):
    code, retryable = "store_too_new", False


class StaleAttempt(StoreError):
    """A writer whose attempt at the turn is over tried to write: the fence held. Never shown."""

    code = "stale_attempt"
