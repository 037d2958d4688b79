"""What the API server may answer instead of what was asked for. Library exceptions end here."""

from distillery.errors import ExternalError, TransientError


class ApiError(ExternalError):
    """The API server refused for good: the same request would be refused again."""


class NotFoundError(ApiError):
    """404: no such object, or no such kind (then the CRD is not installed)."""


class AlreadyExistsError(ApiError):
    """409 to a create: the name is taken."""


class ConflictError(ApiError):
    """409 to a write: the object has changed since, or is not the one with the uid given."""


class GoneError(ApiError):
    """410: the resourceVersion, or the place in a list, is too old; list anew."""


class ForbiddenError(ApiError):
    """403: the controller's role lacks a rule, or a quota or admission policy refused."""


class InvalidError(ApiError):
    """400 or 422: the object breaks its schema."""


class UnreachableError(TransientError):
    """No answer, a broken one, 401 (the token is read anew) or 5xx."""


class ThrottledError(TransientError):
    """429: ``delay_s`` is its Retry-After."""


class LeaseLostError(TransientError):
    """A write was held back: this replica no longer leads."""
