"""The dedicated relay's own configuration, from the live data to files and back:

    plan        what a relay is to be: its IPs, who may submit, its names; hostile values stop here
    succession  by which service each IP's mail leaves, also while it is quarantined
    reading     the plan of a relay, out of the database
    rendering   a plan becomes text: Postfix' files, the instructions (templates in ``deploy/``)
    writing     the text becomes a directory, whole or not at all
    postconf    what Postfix itself reads out of a directory
    checking    the installed configuration against the plan, difference by difference
    tunnel      strongSwan's configuration of both ends of the tunnel
    security_associations  what ``swanctl --list-sas --raw`` says
    health      is the tunnel down, or the relay behind it?

``plan``, ``succession``, ``rendering``, ``tunnel`` and ``security_associations`` are pure: no database, no file but the
templates, no process.
"""
