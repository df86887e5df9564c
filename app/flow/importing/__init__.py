"""A file on its way into a list. What happens to it, in order:

 1. ``store``     the upload goes to disk as it comes in, under a random name
 2. ``sniff``     encoding, delimiter, header and samples (``encodings``: how the bytes are read)
 3. ``guess``     what each column probably is; the person corrects it (``mapping``: what they said)
 4. ``read``      the file as rows with line numbers; what can't be read ends here, with line and column
 5. ``check``     a row as address, name and fields, or the first reason why not
 6. ``stage``     checked rows by COPY into a temporary table
 7. ``classify``  one statement: new, changed, unchanged, duplicate, invalid, suppressed, unsubscribed
 8. ``apply``     one transaction: list, fields, contacts, subscriptions
    ``claims``    who may do 4 to 8: compare-and-set, lease, heartbeat, cancelling
    ``planning``  how PostgreSQL goes about 7 and 8
    ``problems``  why a whole file is refused; why a row is
    ``review``    what people see of it: outcomes, rejects
    ``retention`` what is kept of people, and for how long

``app.flow.imports`` puts 4 to 8 together; pages and commands call 1 to 3, ``review`` and ``problems`` themselves, and
``retention`` serves when somebody is erased.
"""
