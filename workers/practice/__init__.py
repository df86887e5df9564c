"""The practice relay: an SMTP server that delivers to no one.

  connection  (one per client) speaks SMTP: AUTH, MAIL, RCPT, DATA; gives each recipient the answer it asks for
      │ messages of all connections
      v
  collector   writes whatever is waiting in one transaction; only then each message is answered ``250``
      │
      v
  PostgreSQL  practice_message: the mailbox in the UI, and the memory that reconciling asks

``tries`` counts how often an address was tried; ``server`` binds all of it to a socket and shuts it down in order.
"""
