"""The practice mailbox: what this panel's mail would have looked like to those who get it.

routes   list, message, its HTML in a sandbox of its own, download, emptying, the training addresses
words    what headers and training addresses mean, in sentences
"""

from app.web.practice.routes import blueprint

__all__ = ["blueprint"]
