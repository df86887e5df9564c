"""Where mail leaves a relay, for administrators: ``/relays/<relay>/egress``.

listing     pools with their IPs; pools made, renamed, deleted; moving several IPs; the file to download
ips         one IP: added, changed, quarantined, released, removed; what it sent
importing   a file or a range: review, then all of it or nothing
warming     the curve of each provider, and where every IP stands today
assigning   panel × stream -> pool
entry       the blueprint, and rows found within their relay
forms, sentences
"""

from app.web.egress import assigning, importing, ips, listing, warming
from app.web.egress.entry import blueprint

__all__ = ["assigning", "blueprint", "importing", "ips", "listing", "warming"]
