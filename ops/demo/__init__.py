"""``script/demo``: the whole street without a browser, through the code that pages and workers run.

people   the CSV: valid rows and the kinds of row that lists really have
journey  import, write, schedule, wait; then pixel, link and one-click unsubscribe of a sample
proof    every captured mail parsed, its signature verified, its merge data compared
"""
