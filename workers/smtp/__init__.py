"""SMTP submission to one relay, pipelined over several connections.

connecting   connect, EHLO, STARTTLS, AUTH by ``app.flow.smtp_opening``'s client; takes its socket over
connection   one connection after its log-in: what to write next, what an answer means (RFC 5321, RFC 2920)
transport    drives several connections from one thread with a selector; messages are made as connections want them
pool         keeps connections between chunks, per thread and relay
"""
