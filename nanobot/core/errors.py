"""The error tree. Each class carries what the edges need. `public_message` is what a client is shown.

`code` is for programs, `http_status` and `type` are sent over HTTP, `retryable` says whether the same request
may succeed later. `docs/errors.md` lists all errors.
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    # Not at run time: the command line's help needs errors, and should not load msgspec.
    from nanobot.core.message import PassedOver


class NanobotError(Exception):
    """The root of the tree.

    `param` names the field at fault; `retry_after_s` is how long to wait before a retry. Either may be None.
    `headers`: what an HTTP answer says besides, such as what is left of a quota.
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

    @property
    def public_message(self) -> str:
        """What a client may read."""
        return self.message


# Errors of the request ----------------------------------------------------------------------------


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
    """A `multipart/form-data` body that is malformed or has too many parts."""

    code = "invalid_form"


class StreamingOff(InvalidRequest):
    code = "streaming_off"


class ForbiddenOrigin(InvalidRequest):
    """A request under an unknown host name, or from a web page of another site."""

    code, http_status, type = "forbidden_origin", 403, "invalid_request_error"


class BadApiKey(NanobotError):
    code, http_status, type = "invalid_api_key", 401, "authentication_error"


class MissingRight(NanobotError):
    """The API key is valid but lacks the scope for the route."""

    code, http_status, type = "missing_right", 403, "invalid_request_error"


class NotAllowed(NanobotError):
    """The operator's settings do not allow this for such a session, whoever asks."""

    code, http_status, type = "not_allowed", 403, "invalid_request_error"


class TooManyBadKeys(NanobotError):
    """Too many invalid API keys came from the address of the client."""

    code, http_status, type, retryable = "too_many_bad_keys", 429, "rate_limit_error", True


class RouteNotFound(NanobotError):
    code, http_status, type = "not_found", 404, "invalid_request_error"


class InvalidHttp(NanobotError):
    """The bytes on the connection are not an HTTP request."""

    code, http_status, type = "invalid_http", 400, "invalid_request_error"


class UnsupportedEncoding(NanobotError):
    """The body is compressed."""

    code, http_status, type = "unsupported_encoding", 415, "invalid_request_error"


class MethodNotAllowed(NanobotError):
    """The route does not support the method; `allow` lists those that it does."""

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
    """The session has no such message, or the message is not shown."""

    code, http_status, type = "message_not_found", 404, "invalid_request_error"


class SessionExists(NanobotError):
    """A session was to be created under the key of an existing one."""

    code, http_status, type = "session_exists", 409, "conflict_error"


class ResponseNotFound(NanobotError):
    code, http_status, type = "response_not_found", 404, "invalid_request_error"


class ConversationNotFound(NanobotError):
    code, http_status, type = "conversation_not_found", 404, "invalid_request_error"


class ItemNotFound(NanobotError):
    """The conversation has no such item."""

    code, http_status, type = "item_not_found", 404, "invalid_request_error"


class ConversationExists(NanobotError):
    code, http_status, type = "conversation_exists", 409, "conflict_error"


class ApprovalNotFound(NanobotError):
    code, http_status, type = "approval_not_found", 404, "invalid_request_error"


class ApprovalRuleNotFound(NanobotError):
    code, http_status, type = "approval_rule_not_found", 404, "invalid_request_error"


class ApprovalClosed(NanobotError):
    """The approval was decided otherwise, has expired, or is used up."""

    code, http_status, type = "approval_closed", 409, "conflict_error"


class UnknownToolCall(InvalidRequest):
    """The result of a tool answers no open call."""

    code = "unknown_tool_call"


class PersonNotFound(NanobotError):
    """Nobody has that name, or the API key may see none of their sessions."""

    code, http_status, type = "person_not_found", 404, "invalid_request_error"


class InvalidLinkCode(InvalidRequest):
    """A code to link two accounts that is wrong, was used, or has expired."""

    code = "invalid_link_code"


class UploadNotFound(NanobotError):
    code, http_status, type = "file_not_found", 404, "invalid_request_error"


class UploadsFull(InvalidRequest):
    """The uploads of the session would exceed `files.quota_mb`."""

    code = "file_quota_exceeded"


class FactNotFound(NanobotError):
    """Nothing such is remembered, as far as the session may see."""

    code, http_status, type = "fact_not_found", 404, "invalid_request_error"


class MemoryFull(InvalidRequest):
    """The person, group or session has as many facts as `memory.max_facts` allows."""

    code = "memory_full"


class WorkspaceError(InvalidRequest):
    """A file of the workspace cannot be read or changed as it was asked for."""

    code = "workspace_error"


class BadPath(WorkspaceError):
    """What was written cannot be a path in a workspace."""

    code = "bad_path"


class NoSuchFile(WorkspaceError):
    """The workspace has no such file or folder."""

    code, http_status = "workspace_file_not_found", 404


class WorkspaceFull(WorkspaceError):
    """The workspace would exceed `workspace.quota_mb` or `workspace.max_files`."""

    code = "workspace_full"


class UrlRefused(InvalidRequest):
    """The server does not fetch the URL: its scheme, port or address is not part of the public web."""

    code = "url_refused"


class UrlUnreadable(InvalidRequest):
    """The server could not fetch the URL."""

    code = "url_unreadable"


class UnsupportedFile(InvalidRequest):
    """The server does not read files of this type."""

    code = "unsupported_file"


class UnreadableFile(InvalidRequest):
    """The file is broken, is not of the type that its name says, or costs too much to read."""

    code = "unreadable_file"


class EncryptedFile(UnreadableFile):
    """The file is protected by a password."""

    code = "encrypted_file"


# Admission ----------------------------------------------------------------------------------------


class SessionBusy(NanobotError):
    """A turn of the session is running, and the request does not allow waiting for it."""

    code, http_status, type = "session_busy", 409, "conflict_error"


class QueueFull(NanobotError):
    """As many turns of the session, or of the API key, wait as may."""

    code, http_status, type, retryable = "queue_full", 429, "rate_limit_error", True


class Overloaded(NanobotError):
    """As many turns wait, or large requests are read, as the server takes."""

    code, http_status, type, retryable = "server_overloaded", 503, "server_error", True


class RateLimited(NanobotError):
    """A quota of requests a minute or of running turns is used up; it frees up within moments."""

    code, http_status, type, retryable = "rate_limit_exceeded", 429, "rate_limit_error", True


class QuotaExceeded(NanobotError):
    """A quota of tokens or money a day is used up."""

    code, http_status, type, retryable = "insufficient_quota", 429, "insufficient_quota", True


class IdempotencyMismatch(NanobotError):
    code, http_status, type = "idempotency_mismatch", 422, "invalid_request_error"


class ShuttingDown(NanobotError):
    code, http_status, type, retryable = "shutting_down", 503, "server_error", True


# Turns that end without an answer -----------------------------------------------------------------


class TurnCancelled(NanobotError):
    code, http_status, type = "turn_cancelled", 409, "conflict_error"


class TurnTimedOut(NanobotError):
    """The turn took longer than `engine.turn_timeout_s`."""

    code, http_status = "turn_timed_out", 504


class TooManyAttempts(NanobotError):
    """The server died `engine.max_attempts` times while the turn ran."""

    code, http_status = "too_many_attempts", 500


class ModelError(NanobotError):
    """A provider failed. Raised by `Model.stream` and `Model.check`, which never return errors as text.

    Set where several models may answer: `model` is the one that raised it; `passed_over` are all that have
    failed so far, it among them; `instead_of` is what kept a better one from answering.
    """

    code, http_status = "model_error", 502

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.model: str | None = None
        self.passed_over: tuple[PassedOver, ...] = ()
        self.instead_of: ModelError | None = None


class ModelRefusedKey(ModelError):
    """The provider rejected the API key."""

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
    """The answer of the provider could not be parsed, was cut off, or was empty."""

    code, retryable = "model_bad_answer", True


class ModelMisconfigured(ModelError):
    """The provider has no model of the name, or what answers at its address is not its API."""

    code = "model_misconfigured"


class ModelRejectedRequest(ModelError):
    """The provider rejected the request as invalid: a setting, or a part that it does not support."""

    code, http_status, type = "model_rejected_request", 400, "invalid_request_error"


class ModelLacksAbility(ModelError):
    """The provider turned out to lack an ability. The model no longer claims it, and the request
    may be repeated without it.

    `ability`: the name under which the next request says that it goes without (`ModelRequest.lacking`); None
    where the model no longer claims the ability, or no request can go without.
    """

    code, http_status, type = "model_lacks_ability", 400, "invalid_request_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        ability: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.ability = ability


class ContextOverflow(ModelError):
    """The parts of the prompt that cannot be dropped do not fit the window of the model.

    `limit_tokens`: the size of the window, where the provider named it.
    """

    code, http_status, type = "context_length_exceeded", 400, "invalid_request_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        limit_tokens: int | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.limit_tokens = limit_tokens


class ModelUnavailable(ModelError):
    """The model cannot be started on this machine; the message says what is missing."""

    code, http_status = "model_unavailable", 503


# Tools, settings, the store -----------------------------------------------------------------------


class ToolError(NanobotError):
    """A message for the model: its text becomes the tool's result. It never ends a turn."""

    code = "tool_error"


class ConfigError(NanobotError):
    """A setting is wrong. The message is one line: the value, where it is set, what to do. Exit status 2.

    `tables`: those of the settings in which it stands, as `server`, `models.fast` or `keys[0]`, where the
    message does not say the place; the commands add its line of the config file.
    """

    code = "config_error"

    def __init__(self, message: str, *, tables: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tables = tables


class SkillError(NanobotError):
    """A skill or a plugin cannot be installed. Its message names files: it is for the owner of the server."""

    code = "skill_error"


class StoreError(NanobotError):
    """The store cannot be used. Its message names files: it is for the owner of the server."""

    code, http_status, retryable = "store_error", 503, True

    def __init__(
        self, message: str, *, public_message: str = "the server's store failed: its log says why"
    ) -> None:
        super().__init__(message)
        self._public_message = public_message

    @property
    def public_message(self) -> str:
        return self._public_message


class StoreLocked(StoreError):
    code = "store_locked"


class StoreCorrupt(StoreError):
    code, retryable = "store_corrupt", False


class StoreTooNew(StoreError):
    code, retryable = "store_too_new", False


class VectorsUnavailable(StoreError):
    """What makes vectors of texts cannot run; what needs none goes on. Never shown."""

    code = "vectors_unavailable"


class VectorsBrokenOff(VectorsUnavailable):
    """What makes vectors of texts has failed over one of them. Never shown."""

    code = "vectors_broken_off"


class ApprovalChanged(StoreError):
    """A call was to run whose approval had been taken back meanwhile; nothing was written. Never shown."""

    code, retryable = "approval_changed", False


class StaleAttempt(StoreError):
    """A writer whose attempt at the turn is over tried to write; nothing was written. Never shown."""

    code = "stale_attempt"
