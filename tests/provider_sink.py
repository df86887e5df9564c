"""A mailbox provider for tests, behind a relay: it judges each message by the IP that the platform gave it.

    with ProviderSink(judge=lambda mail: Behaviour(body=TSS04) if mail.ip == "192.0.2.1" else None) as sink:
        sink.stored; sink.offered

As a provider does, it answers to the relay's IP and not to ours, which all connect from the loopback; so it reads the header that
tells the relay the IP, and answers to the content. What is not about an IP is told to ``default`` or ``script``, as ever.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes

from app.mail.egress_header import EGRESS_HEADER
from tests.scripted_relay import Behaviour, ScriptedRelay

TSS04 = (
    "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - 4.16.55.1"
)
GOOGLE_RATE = (
    "450-4.7.28 [{ip}] Our system has detected an unusual rate of\r\n450-4.7.28 unsolicited mail originating from your IP\r\n"
    "450 4.7.28 address. Mail sent from your IP address has been temporarily rate limited. - gsmtp"
)


@dataclass(frozen=True)
class Offered:
    """One message as it was offered; ``ip`` is empty where the relay was told none."""

    ip: str
    rcpt_to: str


@dataclass
class ProviderSink(ScriptedRelay):
    judge: Callable[[Offered], Behaviour | None] = lambda _mail: None
    """``None``: as the script says."""
    offered: list[Offered] = field(default_factory=list)
    """Whatever was offered with its content, taken or not."""

    def behaviour_for_content(self, recipient: str, content: bytes, behaviour: Behaviour) -> Behaviour:
        mail = Offered(message_from_bytes(content)[EGRESS_HEADER] or "", recipient)
        with self._lock:
            self.offered.append(mail)
            return self.judge(mail) or behaviour

    def offered_by_ip(self) -> Counter[str]:
        return Counter(mail.ip for mail in self.offered)

    def stored_times(self) -> Counter[tuple[str, str]]:
        """By Message-ID and recipient."""
        return Counter((one.message_id, one.rcpt_to) for one in self.stored)


def refuses(reply: str, *ips: str) -> Callable[[Offered], Behaviour | None]:
    """``reply`` to each message of these IPs, of every IP where none is named."""
    return lambda mail: Behaviour(body=reply.format(ip=mail.ip)) if not ips or mail.ip in ips else None
