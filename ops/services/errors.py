"""What can go wrong with an embedded service, said to the person who starts it."""


class ServiceError(Exception):
    """The service could not be started or stopped; the text says why and what to do about it."""


class AlreadyRunningError(ServiceError):
    """Another live process holds the same data directory."""
