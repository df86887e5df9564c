"""The one-way street. Mail moves in one direction; each station is one module and owns its commits:

    imports      a file becomes contacts and subscriptions: sniff, analyse (staging by COPY), classify, apply (one upsert)
    contacts     lists, contacts, custom fields, consent
    suppressions who must never be mailed; unsubscribing. The only way back against the stream, through the database
    campaigns    a campaign is written, checked, scheduled, paused, resumed, cancelled: compare-and-set on its status
    campaign_content  what a campaign says and to whom; everything that can be wrong with it, field by field
    review       the checklist before sending: who gets it, what is missing; previews: how it looks to one real contact
    cancelling   what a cancelled campaign leaves in the ledger is skipped
    audience     the lists of a campaign become deliveries, once (set-based, in resumable slices) and batches over them
    batches      which batches are due; claiming one with a lease; what expired
    sending      claim > load > render > sign > submit > record, chunk by chunk
    outcomes     how an answer of the relay becomes a delivery's status; counts
    reconciling  deliveries whose answer a crash hid are settled with the relay, by Message-ID
    proofs       test sends, through the same render, sign and submit
    hits         an open or a click on its way: hit_stream (Redis), hit_spool (a file, while Redis is away)
    events       hits become events and engagement, in bulk, each once
    leaving      unsubscribing from a mail's link or header, and taking it back
    reports      what happened, for people: counts, rate, time left; recipients: one by one
    practice     what the practice relay caught, for people and for reconciling

Beside the street: ``domains`` (who may send, and signed by which key), ``domain_checks`` (what the DNS shows of it),
``relays``, ``relay_probe``, ``panels``, ``accounts``, ``passwords``, ``monitoring``, ``installation``, ``seeding``.

Web pages and commands write state and commit, then ``bell.ring_dispatcher`` (NOTIFY); the dispatcher finds what is due
and rings workers through the broker; a worker claims in the database before it acts. No module here imports ``workers``;
what needs a socket (the transport, the relay's memory) comes in as an argument.
"""
