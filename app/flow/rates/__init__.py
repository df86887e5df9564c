"""How many may go now, and by which IPs.

buckets     token buckets and day counters in Redis: asked, taken from and given back to together
allowances  which of them apply to a batch: relay, panel, campaign, IP, IP × mailbox provider, a warming IP's day
reserving   a chunk's reservation: all limits at once, spread over the IPs, or how long to wait
priority    a full limit belongs to what is urgent first
waits       what waits for a limit at this moment, so that nobody rings for it and people see why
"""
