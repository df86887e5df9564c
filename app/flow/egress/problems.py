"""What is refused about pools and IPs."""

from app.flow.problem import Problem


class EgressProblem(Problem):
    """``code``: ``name_missing``, ``name_too_long``, ``name_taken``, ``pool_not_empty`` (``count``), ``pool_missing``,
    ``pool_empty`` (``name``), ``address_invalid``, ``address_unusable``, ``address_taken``, ``address_used``,
    ``helo_invalid``, ``weight_invalid``, ``wrong_state`` (``state``), ``reason_missing``."""


class SheetProblem(Problem):
    """The file as a whole. ``code``: ``empty``, ``not_text``, ``too_large`` (``limit_bytes``), ``column_missing`` and
    ``column_unknown`` and ``column_repeated`` (``column``), ``no_rows``, ``too_many_rows`` (``limit``), ``range_invalid``,
    ``range_backwards``, ``range_too_long`` (``limit``), ``pattern_without_number``."""
