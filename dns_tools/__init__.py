"""Questions to the DNS about mail, a library of its own: nothing of ``app`` is imported here.

dkim       the TXT record of a public key: building, parsing, comparing with what is published
presence   whether MX, SPF and DMARC stand there at all
"""
