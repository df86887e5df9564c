"""Benches: the real path, measured from outside. ``script/bench send|audience|track|cluster|pages``, one line of JSON each.

stage     a throw-away installation with a panel, contacts and the 20 kB campaign
send      claimed, rendered, signed, accepted by a sink, recorded; and the raw limit in the same run
audience  freezing a campaign's recipients
cpu       CPU seconds by part of the installation
track     opens and clicks over HTTP, until they stand in the database
cluster   three hosts as network namespaces (network), a killed dispatcher, a cut cable; counted by ledgers
pages     every kind of page with a year of mail stored, over HTTP
"""
