"""Where mail leaves the relay: pools of source addresses, kept by administrators, chosen from by the send path.

addresses   what an address and a HELO name may look like
problems    what is refused, and why
pools       pools of a relay: made, renamed, deleted
ips         IPs: added, changed, moved, removed; their states
assignments which pool a panel's stream uses
sheet       a CSV file becomes rows, or problems with row and column
ranges      many addresses in a row, as the same sheet
importing   a sheet against what is there: new, changed, unchanged; then all of it at once, or nothing
figures     what each IP sent, by day and provider; where it stands in its warm-up
warming     where warming IPs stand today; those that are through become active
choosing    for the send path: the IPs that may send now
spreading   for the send path: how many messages each of them gets
using       what each of them was given and what became of it, counted: by the send path, and by what the log tells
"""
