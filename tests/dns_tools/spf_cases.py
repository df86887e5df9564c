"""What the SPF tests share: asking the real name server through `check_host`."""

from dns_tools.spf import check_host

CLIENT = "192.0.2.10"
CLIENT6 = "2001:db8::cb01"
DOMAIN = "example.com"


def outcome(nameserver, *, ip=CLIENT, sender=f"info@{DOMAIN}", helo="mail.example.com", domain=None, **options):
    wanted = sender.rpartition("@")[2] or helo if domain is None else domain
    return check_host(ip, wanted, sender, helo, resolver=nameserver.resolver(), **options)


def result(nameserver, record=None, **request):
    """Of `record` published at example.com."""
    if record is not None:
        nameserver.txt(DOMAIN, record)
    return str(outcome(nameserver, **request).result)
