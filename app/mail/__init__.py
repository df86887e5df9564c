"""Pure mail: from a campaign's content to signed bytes, and from an SMTP reply to its meaning.

Nothing here knows Flask, the database, a socket or a clock; keys, dates and jitter come in as arguments.
A test (tests/unit/test_architecture.py) holds that.

How one campaign becomes messages, in order:

 1. ``addresses``         an address as typed or imported -> a mailable address, or the reason why not
 2. ``template_syntax``   merge-template source -> Jinja2 syntax tree whose every node knows its place
 3. ``merge_language``    the words of the small merge language: parts, filters, reserved fields, limits
    ``templates``         its rules -> a list of problems (``problems``) with line and column
 4. ``markup``            where tags and attributes are in HTML
    ``html``              tracked links, open pixel and unsubscribe footer put into the author's HTML
    ``html_text``         the text part made from it
    ``tracking_urls``     the public addresses that all of them lead to
 5. ``merge``             the checked tree -> a plan: literals encoded once, fields evaluated per recipient
 6. ``quoted_printable``  RFC 2045 encoding that is canonical for DKIM by construction
    ``header_words``      RFC 2047 words, display names, folding; no value can leave its header
 7. ``tokens``            the 32 characters that stand for one delivery in Message-ID, return path and links
 8. ``compose``           all of the above, compiled once per campaign; ``render`` once per recipient
 9. ``dkim``              RFC 6376 and RFC 8463 signatures over what ``compose`` made; the wire form
10. ``smtp_reply``        what a socket gives -> SMTP replies
    ``replies``           what the relay answered -> accepted, deferred, bounced, failed, and why; by ``reply_rules``, as data
11. ``retry``             when to try a deferred delivery again, and when to give up
12. ``bounces``           what a mail that came back says of each recipient (its parts: ``bouncing``)

Beside it, for the relay: ``egress_header``, by which it is told the IP; ``postfix_log``, what a line of its log says,
``relay_report``, how that is told to the platform, and ``postfix_queue``, what waits in it
(``queue_report``: how its agent tells that). For the practice relay:
``practice_rules`` (which answer an address asks for) and ``captured`` (what a message that came over the wire says of
itself). For the pace: ``mailbox_providers`` (who runs a domain's mail, by its MX, and what one IP may do there),
``backoff`` (which replies ask an IP to slow down or stay away) and ``blame`` (which of them refuse us, not the recipient).

``benchmark`` measures 5 to 9: ``python -m app.mail.benchmark``.
"""
