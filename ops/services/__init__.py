"""The services that Chaski brings along: PostgreSQL and Redis, run on this machine without being installed.

    account     which system user a service runs as (PostgreSQL refuses root), and its way to its files
    processes   starting a child that dies with us, finding processes and waiting until they are gone
    custody     one owner per data directory, held by a file lock for as long as the service runs
    postgres    EmbeddedPostgres: PostgreSQL 18 from a wheel, reachable through a private unix socket only
    redis       EmbeddedRedis: `redis-server` on a loopback port, behind a random password
    postfix     PostfixService: Debian's Postfix as a private instance, for tests and chaos
    rabbitmq    RabbitService: Debian's RabbitMQ as a private instance, for tests and chaos
    guard       keeps a daemon from outliving us that forgets whose child it is
    private_files   files with secrets in them
    instance    where the running instance says how to reach it (`var/instance.json`)

Both services have the same verbs: `start() -> url`, `stop()`, `kill()`, `restart() -> url`, `close()`. The URL stays
the same over stops, crashes and restarts, so clients reconnect without being told anything.
"""

from ops.services.errors import AlreadyRunningError, ServiceError
from ops.services.postgres import EmbeddedPostgres
from ops.services.redis import EmbeddedRedis

__all__ = ["AlreadyRunningError", "EmbeddedPostgres", "EmbeddedRedis", "ServiceError"]
