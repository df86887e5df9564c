"""How often each address was tried, for answers that hold only for the first tries (``practica-451x2@…``)."""

from collections import OrderedDict

MAX_ADDRESSES = 100_000


class TryCounter:
    """In memory, of this process: a restarted relay counts from the beginning. The addresses tried longest ago are
    forgotten beyond ``MAX_ADDRESSES``."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[int, str], int] = OrderedDict()

    def next_try(self, panel_id: int, address: str) -> int:
        """The number of this try, from 1."""
        key = (panel_id, address.lower())
        number = self._tries[key] = self._tries.pop(key, 0) + 1
        if len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)
        return number
