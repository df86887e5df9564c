"""A share in per cent that may have decimals, written with a comma or a dot."""

from math import isfinite
from typing import Any

from flask_babel import gettext as _
from wtforms import FloatField
from wtforms.widgets import NumberInput


class ShareField(FloatField):  # type: ignore[misc]  # WTForms has no types
    widget = NumberInput(step="0.1", min=0, max=100)

    def _value(self) -> str:
        """A browser's number field takes a dot, whatever the language."""
        if self.raw_data:
            return str(self.raw_data[0]).replace(",", ".")
        return f"{self.data:g}" if self.data is not None else ""

    def process_formdata(self, valuelist: list[Any]) -> None:
        written = str(valuelist[0]).strip().replace(",", ".") if valuelist else ""
        self.data = None
        if not written:
            return
        try:
            self.data = float(written)
        except ValueError:
            raise ValueError(_("Escriba un número.")) from None
        if not isfinite(self.data):
            raise ValueError(_("Escriba un número."))
