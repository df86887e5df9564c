"""What watches a relay, on the platform's host or on the relay's own.

queue         Postfix' queue through its own programs: listing, holding, releasing, requeueing, deleting; bounded
queue_agent   tells the platform what lies there, every few seconds, and carries out what people ordered
"""
