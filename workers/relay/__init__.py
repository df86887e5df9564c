"""What a real relay can tell after it took a message, and what lies in its queue.

adapters      what the platform may ask a relay: the one whose log is followed, and the one that only speaks SMTP
follow        the follower, as a process: log file > lines > sightings > platform
tail          a log file's lines, each once, whatever rotation does to the file
joining       lines of one queue id, joined into sightings of one delivery
arrivals      messages that began to arrive and were not heard of since: the queue is asked
memory        the place in the log and the open queue ids, kept in one transaction
handover      to whom a bundle goes: the database, or the platform over HTTPS
platform_api  the platform's API for machines: HTTPS, a key, an end to everything
queue         Postfix' queue through its own programs: listing, holding, releasing, requeueing, deleting; bounded
queue_agent   tells the platform what lies there, every few seconds, and carries out what people ordered
queue_platform  the agent's way to the platform: the database, or HTTPS

The platform's host runs both where Postfix runs on it too; else the relay's own host runs them with an API key.
Nothing is lost and nothing counts twice: the place moves only after a bundle was taken, and a bundle that comes twice
changes nothing.
"""
