"""What a mail that came back says: from the raw bytes to one `Feedback` per recipient.

In order, as ``app.mail.bounces`` calls them:

1. ``decoding``    transfer encodings, character sets, HTML -> plain text; never fails, always bounded
   ``reading``     the bytes -> a `Letter`: headers and a flat list of parts, however broken the MIME
2. ``complaints``  ARF (RFC 5965) and the shapes of the large providers' feedback loops
3. ``reports``     RFC 3464 delivery status fields, wherever in the mail they stand
4. ``answers``     RFC 3834: vacation notices, tickets, challenges, read receipts; never bounces
5. ``narratives``  bounces that are told in words only: who failed, and the words about it
6. ``judging``     words and codes -> reason -> kind

``kinds`` is the vocabulary; ``phrases`` reads the rules, which are data: ``rules/*.toml``, each with its source.
docs/bounces.md says how to add one.
"""
