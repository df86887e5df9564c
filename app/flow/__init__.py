"""The one-way street. Mail moves in one direction; each station is one module and owns its commits:

    imports      a file becomes contacts and subscriptions: sniff, analyse (staging by COPY), classify, apply (one upsert)
    contacts     people and their data; lists, custom_fields (field_values: what a cell means), search: finding people
    emptying     the values of deleted fields go from the contacts, slice by slice
    suppressions who must never be mailed; unsubscribing. The only way back against the stream, through the database
    campaigns    a campaign is written, checked, scheduled, paused, resumed, cancelled: compare-and-set on its status
    campaign_content  what a campaign says and to whom; everything that can be wrong with it, field by field
    review       the checklist before sending: who gets it, what is missing; previews: how it looks to one real contact
    composing    content, links, keys and addresses compiled once, to write any recipient's message
    following_up only to those whom a campaign provably did not reach (not_reached: the rule, as SQL)
    cancelling   what a cancelled campaign leaves in the ledger is skipped
    audience     the lists of a campaign become deliveries, once (set-based, in resumable slices) and batches over them
    mail_domains whose mailboxes the recipients' domains are, by their MX: looked up before freezing, refreshed afterwards
    canary       a part goes out first; the rest waits until it has proved harmless
    batches      which batches are due; claiming one with a lease; what expired
    lanes        who goes first: urgent campaigns, then the panels by their weights
    sending      claim > mark > render > sign > submit > record, chunk by chunk (submission: the contract with a transport)
    rates        how many may go now and by which IP, within every limit (a package with a map of its own)
    breaker      providers that complain get less or nothing for a time, by IP (a package with a map of its own)
    outcomes     how an answer of the relay becomes a delivery's status; counts
    reconciling  deliveries whose answer a crash hid are settled with the relay, by Message-ID
    relay_outcomes  what a relay's log says became of deliveries; relay_memory: what it proves; relay_keys: who may tell
    relay_health who reads a relay's log and queue, how that goes, and who is missed
    proofs       test sends, through the same render, sign and submit
    hits         an open or a click on its way: hit_stream (Redis), hit_spool (a file, while Redis is away)
    events       hits become events and engagement, in bulk, each once
    complaining  a recipient called it spam: an event, and never again
    leaving      unsubscribing from a mail's link or header, and taking it back
    relay_queue  what lies in a relay's own queue, and orders to its agent (a package with a map of its own)
    egress       from which IP of the relay mail leaves: pools, states, choice (a package with a map of its own)
    reports      what happened, for people: counts, rate (made of sampling), time left; recipients: one by one,
                 recipient_search: finding one of a million
    certificate  every planned recipient with what became of it, at one moment, signed
    pace         what a campaign waits for now, and how far it is at each mailbox provider
    forecasting  when a campaign ends, within every limit (pure; forecast_terms: what it is made of); finish_time: who is left,
                 who else sends then; finish_conditions: the limits, holds, warm-up, retries and rivals that it reckons with
    report_details  the parts of a report that take reading a whole ledger, made by a worker and kept
    slices       rows for files that people download
    formulas     cells of those files that a spreadsheet would run, defused
    monitoring   what a panel does at this moment: today's figures, alarms
    practice     what the practice relay caught, for people and for reconciling

Around it:

    panels, domains, relays   who sends, from which domain, through what; relay_probe: «Probar conexión»
    relay_config              the dedicated relay's Postfix and tunnel, written out of the data and checked against them
    domain_checks, signing    what the DNS shows of a domain now; what signs its mail, and whether that can be checked
    providers                 mailbox providers: the limits in force, what people changed of them, where the contacts are
    smtp_opening              the first words with a relay, bounded in time and lines; for the probe and for the transport
    accounts, passwords       people who log in
    installation, seeding     whether it runs; sample data
    problem                   what every station says when it refuses
    sessions, bell            the kinds of database session; NOTIFY to the dispatcher

Web pages and commands write state and commit, then ``bell.ring_dispatcher`` (NOTIFY); the dispatcher finds what is due
and rings workers through the broker; a worker claims in the database before it acts. No module here imports ``workers``;
what needs a socket (the transport, the relay's memory) comes in as an argument.
"""
