"""The panel's people: lists, contacts, imports, suppressions, custom fields.

wording     codes of problems, outcomes and sources -> sentences
csv_answer  a CSV file streamed to the browser
forms       the forms of all five areas
uploading   an upload straight to the upload directory, after the person is known
"""

from app.web.contacts import contacts, custom_fields, imports, lists, suppressions, wording

BLUEPRINTS = (
    lists.blueprint,
    contacts.blueprint,
    imports.blueprint,
    suppressions.blueprint,
    custom_fields.blueprint,
)

__all__ = ["BLUEPRINTS", "wording"]
