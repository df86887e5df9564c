"""Why a relay or a recipient's host refuses: the reasons, and the codes and words that give them away.

Rules as rows: to teach Chaski a new reply, add a row here and an example to its test.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why; each with the question that it answers for the person who reads the report."""

    ACCEPTED = "accepted"
    MAILBOX_UNKNOWN = "mailbox_unknown"  # nobody has this address
    MAILBOX_DISABLED = "mailbox_disabled"  # somebody had it; closed or inactive
    MAILBOX_FULL = "mailbox_full"
    DOMAIN_UNKNOWN = "domain_unknown"  # the domain doesn't exist or takes no mail
    ROUTING = "routing"  # the relay can't reach the recipient's host at the moment
    GREYLISTED = "greylisted"  # come back later; the first try is always turned away
    RATE_LIMITED = "rate_limited"  # too many at once for the recipient's host
    SPAM_CONTENT = "spam_content"  # this message looks like spam to it
    BLOCKLISTED = "blocklisted"  # our address or domain is on a blocklist
    SENDER_AUTHENTICATION = "sender_authentication"  # SPF, DKIM, DMARC or reverse DNS don't satisfy it
    POLICY = "policy"  # its own rules, not further explained
    MESSAGE_TOO_BIG = "message_too_big"
    MESSAGE_REFUSED = "message_refused"  # malformed, or a kind of content that it doesn't take
    SENDER_REFUSED = "sender_refused"  # the relay doesn't take our envelope sender
    RELAY_DENIED = "relay_denied"  # the relay won't pass mail on for us
    RELAY_LOGIN = "relay_login"  # user, password or encryption are missing or wrong
    RELAY_CLOSING = "relay_closing"  # 421: the relay ends the connection
    RELAY_BUSY = "relay_busy"  # no disk, no memory, too many connections
    PROTOCOL = "protocol"  # the relay didn't understand us, or we it
    OTHER = "other"


# Enhanced codes by subject and detail (RFC 3463 §3, RFC 5248's registry, RFC 7372, RFC 7505), the class left
# out.
BY_ENHANCED: dict[str, Reason] = {
    "1.0": Reason.MAILBOX_UNKNOWN,
    "1.1": Reason.MAILBOX_UNKNOWN,
    "1.2": Reason.DOMAIN_UNKNOWN,
    "1.3": Reason.MAILBOX_UNKNOWN,
    "1.4": Reason.MAILBOX_UNKNOWN,
    "1.6": Reason.MAILBOX_DISABLED,
    "1.7": Reason.SENDER_REFUSED,
    "1.8": Reason.SENDER_REFUSED,
    "1.10": Reason.DOMAIN_UNKNOWN,
    "2.0": Reason.MAILBOX_DISABLED,
    "2.1": Reason.MAILBOX_DISABLED,
    "2.2": Reason.MAILBOX_FULL,
    "2.3": Reason.MESSAGE_TOO_BIG,
    "3.0": Reason.RELAY_BUSY,
    "3.1": Reason.RELAY_BUSY,
    "3.2": Reason.RELAY_BUSY,
    "3.4": Reason.MESSAGE_TOO_BIG,
    "4.1": Reason.ROUTING,
    "4.2": Reason.ROUTING,
    "4.3": Reason.ROUTING,
    "4.4": Reason.ROUTING,
    "4.5": Reason.RATE_LIMITED,
    "4.6": Reason.ROUTING,
    "4.7": Reason.ROUTING,
    "5.0": Reason.PROTOCOL,
    "5.1": Reason.PROTOCOL,
    "5.2": Reason.PROTOCOL,
    "5.3": Reason.RATE_LIMITED,
    "5.4": Reason.PROTOCOL,
    "5.5": Reason.PROTOCOL,
    "6.0": Reason.MESSAGE_REFUSED,
    "6.1": Reason.MESSAGE_REFUSED,
    "6.3": Reason.MESSAGE_REFUSED,
    "6.6": Reason.MESSAGE_REFUSED,
    "6.7": Reason.MESSAGE_REFUSED,
    "6.9": Reason.MESSAGE_REFUSED,
    "7.8": Reason.RELAY_LOGIN,
    "7.9": Reason.RELAY_LOGIN,
    "7.11": Reason.RELAY_LOGIN,
    "7.20": Reason.SENDER_AUTHENTICATION,
    "7.21": Reason.SENDER_AUTHENTICATION,
    "7.22": Reason.SENDER_AUTHENTICATION,
    "7.23": Reason.SENDER_AUTHENTICATION,
    "7.24": Reason.SENDER_AUTHENTICATION,
    "7.25": Reason.SENDER_AUTHENTICATION,
    "7.26": Reason.SENDER_AUTHENTICATION,
    "7.27": Reason.SENDER_REFUSED,
    "7.28": Reason.RATE_LIMITED,
}

# Words in the order of their weight; lower case. They come from the replies of Postfix, Exchange and large
# providers.
BY_WORDS: tuple[tuple[Reason, tuple[str, ...]], ...] = (
    (
        Reason.RELAY_DENIED,
        (
            r"relay(?:ing)? (?:access )?(?:denied|not permitted|not allowed|prohibited)",
            r"unable to relay",
            r"(?:not|n't) (?:permitted|allowed|authorized) to relay",
        ),
    ),
    (
        Reason.RELAY_LOGIN,
        (
            r"authentication (?:required|failed|credentials invalid)",
            r"must issue a starttls",
        ),
    ),
    (
        Reason.GREYLISTED,
        (r"gr[ae]y-?list",),
    ),
    (
        Reason.BLOCKLISTED,
        (
            r"block ?list",
            r"black ?list",
            r"blocked using",
            r"spamhaus",
            r"barracuda",
            r"spamcop",
            r"\brbl\b",
            r"\bdnsbl\b",
            r"listed (?:at|by|in|on)\b",
            r"client host .*blocked",
            r"poor reputation",
            r"bad reputation",
        ),
    ),
    (
        Reason.SENDER_AUTHENTICATION,
        (
            r"\bspf\b",
            r"\bdkim\b",
            r"\bdmarc\b",
            r"unauthenticated",
            r"reverse dns",
            r"\bptr record",
            r"cannot find your (?:reverse )?hostname",
        ),
    ),
    (
        Reason.MAILBOX_FULL,
        (
            r"(?:mailbox|inbox|user|account|recipient).{0,30}(?:full|over ?quota|quota exceeded)",
            r"over ?quota",
            r"quota exceeded",
            r"out of storage",
            r"insufficient (?:disk|mailbox) space for user",
        ),
    ),
    (
        Reason.MAILBOX_DISABLED,
        (
            r"(?:mailbox|account|user|address|recipient).{0,30}(?:disabled|inactive|suspended|closed|deactivated|\blocked|expired)",
        ),
    ),
    (
        Reason.MAILBOX_UNKNOWN,
        (
            r"user unknown",
            r"unknown user",
            r"no such (?:user|mailbox|recipient|address)",
            r"(?:user|mailbox|recipient|account|address) (?:does not|doesn't|do not) exist",
            r"(?:user|mailbox|recipient|account|address|email) (?:was )?not found",
            r"invalid (?:recipient|mailbox|address)",
            r"unknown (?:recipient|mailbox|address|local)",
            r"recipient (?:unknown|rejected: user)",
            r"mailbox unavailable",
            r"unrouteable address",
            r"undeliverable address",
            r"no mailbox here",
        ),
    ),
    (
        Reason.DOMAIN_UNKNOWN,
        (
            r"(?:domain|host).{0,20}(?:not found|does not exist|unknown)",
            r"unknown (?:domain|host)",
            r"no mx",
            r"null ?mx",
            r"bad destination",
        ),
    ),
    (
        Reason.MESSAGE_TOO_BIG,
        (r"(?:message|size).{0,40}(?:exceeds|too (?:big|large)|limit)",),
    ),
    (
        Reason.RATE_LIMITED,
        (
            r"rate.?limit",
            r"too (?:many|much)",
            r"throttl",
            r"try again more slowly",
            r"exceed.{0,30}(?:rate|limit|quota)",
            r"unusual rate",
        ),
    ),
    (
        Reason.SPAM_CONTENT,
        (
            r"\bspam\b",
            r"\bjunk\b",
            r"content (?:rejected|refused|filter)",
            r"virus",
            r"malware",
            r"phish",
            r"bulk mail",
            r"unsolicited",
        ),
    ),
    (
        Reason.ROUTING,
        (
            r"connection (?:timed out|refused|reset)",
            r"timed? ?out",
            r"network is unreachable",
            r"no route",
            r"host (?:or domain name )?not found.*try again",
            r"lookup fail",
        ),
    ),
    (
        Reason.RELAY_BUSY,
        (
            r"insufficient system (?:storage|resources)",
            r"disk full",
            r"system (?:busy|load)",
            r"out of memory",
            r"queue (?:file )?write error",
            r"server (?:busy|error)",
        ),
    ),
    (
        Reason.POLICY,
        (
            r"policy",
            r"administrative prohibition",
            r"not (?:allowed|permitted|authorized)",
            r"access denied",
            r"prohibited",
            r"denied",
        ),
    ),
)

# What the bare code says where neither an enhanced code nor known words do (RFC 5321 §4.2.3).
BY_CODE: dict[int, Reason] = {
    421: Reason.RELAY_CLOSING,
    450: Reason.OTHER,
    451: Reason.OTHER,
    452: Reason.RELAY_BUSY,
    454: Reason.RELAY_LOGIN,
    500: Reason.PROTOCOL,
    501: Reason.PROTOCOL,
    502: Reason.PROTOCOL,
    503: Reason.PROTOCOL,
    504: Reason.PROTOCOL,
    521: Reason.DOMAIN_UNKNOWN,
    530: Reason.RELAY_LOGIN,
    534: Reason.RELAY_LOGIN,
    535: Reason.RELAY_LOGIN,
    538: Reason.RELAY_LOGIN,
    551: Reason.MAILBOX_UNKNOWN,
    552: Reason.MAILBOX_FULL,
    553: Reason.MAILBOX_UNKNOWN,
    555: Reason.PROTOCOL,
    556: Reason.DOMAIN_UNKNOWN,
}
