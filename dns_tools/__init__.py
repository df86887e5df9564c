"""What the DNS says of a mail domain: a library and a command line that stand on their own.

Nothing here imports the product. Every function that asks takes a dnspython resolver; parsing never asks. `parse_*` turn a
text into a typed record or raise an error of their own, `check_*` answer with findings (findings.py): status, evidence,
the sentence in Spanish and English, the record to publish.

    lookup.py       one question, with TTL and server as evidence; silence is a result and never reads as "no record"
    findings.py     Status, Finding; their sentences stand in explanations.toml
    tags.py         tag lists, the form that most records share
    spf/            check_host() of RFC 7208, and a lint of the record
    dkim.py         key records; dkim_check.py holds a published key against the private one
    signatures.py   the verdict on every DKIM signature of a message
    dmarc/          records, tree walk, alignment, report addresses
    message.py      a whole message: signatures, SPF, DMARC
    reverse.py      PTR, FCrDNS, HELO
    blocklists.py   lists of addresses and domains (blocklists.toml), refusals told from listings
    exchange.py     MX, null MX, DANE;  transport.py: MTA-STS, TLS-RPT;  bimi.py;  dnssec.py
    servers.py      every name server of a zone asked by itself: is a new record out everywhere?
    historical.py   Sender ID and DomainKeys, marked as what they are
    command_line.py `python -m dns_tools check DOMAIN`, and table.py, how a terminal shows it
    presence.py     whether MX, SPF and DMARC stand there at all: the short look that the product's domain page takes
"""
